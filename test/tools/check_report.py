#!/usr/bin/python3
"""check_report.py REPORT.html [--screenshot FILE.png] NAME=COUNT ..: opens a report in headless Chromium and checks what it became.

NAME is `canvas` (charts, each with something painted on it), `img` (pictures, each decoded), or the id of a table, whose rows are
counted; COUNT a number, or N+ for at least N. Errors on the console and addresses outside the file fail too."""
import argparse
import html
import os
import re
import subprocess
import sys
import tempfile

PROBE = """<script>
addEventListener("load", async () => {
    await Promise.all([...document.images].map((image) => image.decode().catch(() => {})));
    const result = [];
    for (const canvas of document.querySelectorAll("canvas")) {
        const pixels = canvas.width && canvas.height ? canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data : [];
        let painted = 0;
        for (let i = 3; i < pixels.length; i += 4) painted += pixels[i] > 0;
        result.push("canvas " + painted);
    }
    for (const image of document.images) result.push("img " + (image.naturalWidth * image.naturalHeight));
    for (const table of document.querySelectorAll("table[id]")) result.push("table#" + table.id + " " + table.querySelectorAll("tbody tr").length);
    for (const entry of performance.getEntriesByType("resource")) if (!entry.name.startsWith("data:")) result.push("fetched " + entry.name);
    const probe = document.createElement("pre");
    probe.id = "probe";
    probe.textContent = result.join("\\n");
    document.body.append(probe);
});
</script>"""


def chromium(arguments, folder, page):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={folder}/profile",
               "--window-size=1280,3000", "--virtual-time-budget=10000", *arguments, "file://" + page]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("report")
    parser.add_argument("expected", nargs="*")
    parser.add_argument("--screenshot")
    arguments = parser.parse_args()
    text = open(arguments.report, encoding="utf-8").read()
    problems = [f"an address outside the file: {found}" for found in re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)[^"']*["']""", text)]
    with tempfile.TemporaryDirectory() as folder:
        page = os.path.join(folder, "page.html")
        with open(page, "w", encoding="utf-8") as file:
            file.write(text.replace("</body>", PROBE + "</body>"))
        run = chromium(["--dump-dom"], folder, page)
        if arguments.screenshot:
            chromium([f"--screenshot={os.path.abspath(arguments.screenshot)}"], folder, os.path.abspath(arguments.report))
    problems += [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="probe">(.*?)</pre>', run.stdout, re.DOTALL)
    if not found:
        print(run.stderr[-3000:], file=sys.stderr)
        sys.exit("check_report.py: the page did not run to its end")
    counts = {}
    for kind, value in (line.split(" ", 1) for line in html.unescape(found.group(1)).splitlines()):
        if kind == "fetched":
            problems.append(f"the page fetched {value}")
        elif kind.startswith("table#"):
            counts[kind[len("table#"):]] = int(value)
        else:
            counts[kind] = counts.get(kind, 0) + 1
            if int(value) == 0:
                problems.append(f"a {kind} is empty")
    for expected in arguments.expected:
        name, count = expected.split("=")
        least = int(count.rstrip("+"))
        if counts.get(name, 0) != least and not (count.endswith("+") and counts.get(name, 0) > least):
            problems.append(f"{name}: {counts.get(name, 0)}, expected {count}")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        sys.exit(1)
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))


main()
