"""From photographs in a folder to updated weights: pictures a second of whole epochs, decoding and augmentation included.

usage: bench/pictures.py --build DIR [--data DIR] [--threads N] [--rounds N]

Trains examples/distracted-driver/augmented.model on the photographs of DIR/train, drawn by draw-drivers if no folder is given, and beside it the
same network, augmentation and optimizer in PyTorch with PIL (peer_pictures.py): without and with worker processes, in both layouts.
Contenders take turns; a figure is the median over all epochs but the first of each round. Kiln keeps decoded pictures in memory, so its
first epoch, which decodes, is shown by itself. The rate of the step alone is that of `bench`: batches that lie ready, no data.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from contenders import BATCH, ROOT, bound_to

EPOCHS = 5


def run(command, threads, environment=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}, preexec_fn=bound_to(threads))
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="build folder of Kiln")
    parser.add_argument("--data", help="folder with train/CLASS/*.jpg [drawn]")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = options.data
        if not data:
            data = os.path.join(folder, "data")
            run([os.path.join(options.build, "bin", "draw-drivers"), data], options.threads)
        executable = os.path.join(folder, "augmented")
        run([os.path.join(options.build, "bin", "kiln"), "build", os.path.join(ROOT, "examples/distracted-driver/augmented.model"), "-o", executable], options.threads)

        def kiln():
            shutil.rmtree(executable + ".run", ignore_errors=True)
            # The folder's validation split is measured after each epoch, outside of the epoch's time.
            run([executable, "train", "--data", data, "--run", executable + ".run", "--epochs", str(EPOCHS), "--threads", str(options.threads), "--save-every", "0", "--quiet"], options.threads)
            return [json.loads(line)["samples_per_second"] for line in open(os.path.join(executable + ".run", "metrics.jsonl"))]

        def step():
            return [1000 * BATCH / json.loads(run([executable, "bench", "--threads", str(options.threads), "--json"], options.threads).splitlines()[-1])["step_ms"]]

        def pytorch(workers, layout):
            command = ["/usr/bin/python3", os.path.join(ROOT, "bench/peer_pictures.py"), os.path.join(data, "train"), "--threads", str(options.threads),
                       "--workers", str(workers), "--epochs", str(EPOCHS)]
            output = run(command + (["--channels-last"] if layout else []), options.threads, {"OMP_NUM_THREADS": str(options.threads)})
            return json.loads(output.splitlines()[-1])["samples_per_second"][1:]

        contenders = {"step alone": step, "Kiln": kiln}
        for workers in (0, 1, 2):
            for layout in (False, True):
                contenders[f"PyTorch, {workers} workers, {'channels last' if layout else 'contiguous'}"] = lambda workers=workers, layout=layout: pytorch(workers, layout)
        rates, first = {name: [] for name in contenders}, []
        for _ in range(options.rounds):
            for name, measure in contenders.items():
                figures = measure()
                if name == "Kiln":
                    first.append(figures[0])
                    figures = figures[1:]
                rates[name] += figures
    median = {name: statistics.median(figures) for name, figures in rates.items()}
    print(f"pictures a second, {options.threads} threads, batch {BATCH}, {options.rounds} rounds: median (least to most)")
    for name, figures in rates.items():
        print(f"  {name:36}{median[name]:8.0f} ({min(figures):.0f} to {max(figures):.0f})")
    print(f"  {'Kiln, first epoch':36}{statistics.median(first):8.0f}")
    best = max(value for name, value in median.items() if name.startswith("PyTorch"))
    print(f"Kiln over its step alone {median['Kiln'] / median['step alone']:.2f}; Kiln over the best PyTorch {median['Kiln'] / best:.2f}")


if __name__ == "__main__":
    main()
