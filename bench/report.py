"""The benchmark's figures as rows, as text and as Markdown."""
import statistics


def absent(versions):
    """What a reader might miss among the peers, given {interpreter: {module: version}}."""
    torch = [found["torch"] for found in versions.values() if "torch" in found]
    missing = [] if torch else ["PyTorch"]
    if not any(int(version.split(".")[0]) >= 2 for version in torch):
        missing.append("torch.compile (PyTorch 2)")
    if not any("jax" in found for found in versions.values()):
        missing.append("JAX")
    return missing


def row(model, threads, ours, results):
    """One line of the table: medians over the rounds, and ratios to the best peer; everything else is in `contenders`."""
    own = results[ours]
    entry = {"model": model, "threads": threads, "step_ms": statistics.median(own.step_ms), "epoch_ms": statistics.median(own.epoch_ms),
             "contenders": {name: found.json() for name, found in results.items()}}
    peers = {name: found for name, found in results.items() if name != ours}
    if peers:
        best = min(peers, key=lambda name: statistics.median(peers[name].step_ms))
        best_epoch = min(peers, key=lambda name: statistics.median(peers[name].epoch_ms))
        least = min(peers, key=lambda name: peers[name].peak_mib)
        entry |= {"best_peer": best, "ratio": entry["step_ms"] / statistics.median(peers[best].step_ms),
                  "epoch_ratio": entry["epoch_ms"] / statistics.median(peers[best_epoch].epoch_ms),
                  "memory_ratio": own.peak_mib / peers[best].peak_mib, "least_memory_peer": least}
    return entry


def spread(values):
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


HEADINGS = ["threads", "contender", "ms/step: median (least to most)", "the same in whole epochs", "peak MiB", "start to first step, s", "first step, s", "step: ours over theirs"]


def cells(entry, name):
    found = entry["contenders"][name]
    theirs = statistics.median(found["step_ms"])
    return [str(entry["threads"]), name, spread(found["step_ms"]), spread(found["epoch_ms"]), f"{found['peak_mib']:.0f}", f"{found['start_to_first_step_s']:.3f}",
            f"{found['first_step_s']:.3f}", f"{entry['step_ms'] / theirs:.2f}" + (" best peer" if name == entry.get("best_peer") else "")]


def text(entry):
    lines = []
    for name in entry["contenders"]:
        _, name, step, epoch, peak, start, first, ratio = cells(entry, name)
        lines.append(f"  {entry['threads']} threads  {name:36} {step:32} epoch {epoch:32} {peak:>6} MiB  start {start:>8} s  {ratio}")
    return "\n".join(lines)


def table(headings, rows):
    return "\n".join("| " + " | ".join(cell) + " |" for cell in [headings, ["---"] * len(headings), *rows]) + "\n"


def summary(result):
    rows = []
    for entry in result["models"]:
        if "ratio" in entry:
            rows.append([entry["model"], str(entry["threads"]), f"{entry['step_ms']:.4g}", entry["best_peer"],
                         f"{entry['step_ms'] / entry['ratio']:.4g}", f"**{entry['ratio']:.2f}**", f"{entry['epoch_ratio']:.2f}", f"{entry['memory_ratio']:.2f}"])
        else:
            rows.append([entry["model"], str(entry["threads"]), f"{entry['step_ms']:.4g}", "", "", "", "", ""])
    return table(["model", "threads", "Kiln, ms/step", "best peer", "its ms/step", "ratio", "ratio of epochs", "ratio of peak memory"], rows)


def scaling(result):
    steps = {(entry["model"], entry["threads"]): entry["step_ms"] for entry in result["models"]}
    rows = [[model, f"{steps[model, 1] / steps[model, 2]:.2f}"] for model, threads in steps if threads == 2 and (model, 1) in steps]
    return table(["model", "1 thread over 2"], rows) if rows else ""


def kernels(result):
    """A line for each kernel of the table of shapes, with the shares of peak by threads."""
    threads = sorted({row["threads"] for row in result["kernels"]})
    lines = {}
    for row in result["kernels"]:
        lines.setdefault((row["shape"], row["part"]), {})[row["threads"]] = row
    headings = ["shape", "part"]
    for count in threads:
        headings += [f"GFLOP/s, {count} thread{'s' if count > 1 else ''}", "of peak", "GB/s", "of a copy"]
    rows = []
    for (shape, part), found in lines.items():
        cell = [shape, part]
        for count in threads:
            row = found[count]
            cell += [f"{row['GFLOP/s']:.1f}", f"{100 * row['of_peak']:.0f} %", f"{row['GB/s']:.1f}", f"{100 * row['of_copy']:.0f} %"]
        rows.append(cell)
    return table(headings, rows)


def markdown(result):
    out = ["# Results\n", "Written by `./dev bench`; what is measured and how: [README.md](README.md).\n",
           f"{result['processor']}, {result['processors']} processors; {result['date']}; commit {result['commit']}; batch {result['batch']}, Adam, f32; "
           f"medians of {result['rounds']} rounds.\n",
           f"Peers: {', '.join(result['peers']) or 'none'}." + (f" Absent: {', '.join(result['absent'])}." if result["absent"] else "") + "\n",
           "## Ours over the best peer\n", summary(result)]
    if scaling(result):
        out += ["## From one thread to two\n", scaling(result)]
    out += ["## Compiling\n", table(["model", "cold, s", "cached, s", "executable, MB"], [
        [build["model"], f"{build['cold_s']:.1f}", f"{build['cached_s']:.2f}", f"{build['executable_bytes'] / 1e6:.2f}"] for build in result["builds"]])]
    if result["losses"]:
        steps = result["losses"][0]["steps"]
        out += ["## Equal work\n",
                f"Losses of {steps} steps from the same weights on the same batches, without dropout. They count as the same if the first two are no further from ours "
                f"than {100 * result['early_tolerance']:g} % of the first, and means of ten steps no further than {100 * result['late_tolerance']:g} %.\n",
                table(["model", "contender", "first loss", f"loss after {steps} steps", "two steps apart, %", "tens apart, %", ""], [
                    [loss["model"], loss["name"], f"{loss['losses'][0]:.6g}", f"{loss['losses'][-1]:.6g}", f"{100 * loss['early']:.2g}", f"{100 * loss['late']:.2g}",
                     "" if loss["agrees"] else "**not the same work**"] for loss in result["losses"]])]
    out.append("## Every contender\n")
    for model in dict.fromkeys(entry["model"] for entry in result["models"]):
        out += [f"### {model}\n", table(HEADINGS, [cells(entry, name) for entry in result["models"] if entry["model"] == model for name in entry["contenders"]])]
    if "kernels" in result:
        peaks = ", ".join(f"{peak:g} GFLOP/s on {count} thread{'s' if int(count) > 1 else ''}" for count, peak in result["peak_gflops"].items())
        out += ["## Kernels alone\n", f"The fastest run of many. Peak of multiply-adds in registers: {peaks}. GB/s: of the bytes that a "
                "kernel has to read and write at least, beside a plain copy of as many.\n", kernels(result)]
    return "\n".join(out)
