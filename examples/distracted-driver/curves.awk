# The validation accuracy of runs as an SVG picture: awk -f curves.awk RUN/metrics.csv .. > curves.svg
BEGIN {
    FS = ","
    left = 40; top = 20; width = 520; height = 300
    split("#1f77b4 #ff7f0e #2ca02c #d62728 #9467bd #8c564b #e377c2 #7f7f7f #bcbd22 #17becf", colour, " ")
}
FNR == 1 {
    ++runs
    title[runs] = FILENAME
    sub("/metrics.csv$", "", title[runs])
    sub(".*/", "", title[runs])
    for (i = 1; i <= NF; ++i) if ($i == "validation_accuracy") column = i
    next
}
{
    epochs[runs] = $1
    accuracy[runs, $1] = $column
    if ($1 > last) last = $1
}
END {
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n", left + width + 180, top + height + 30
    print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
    for (i = 0; i <= 10; i += 2) {
        y = top + height * (1 - i / 10)
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"%g\" y2=\"%g\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%g\" text-anchor=\"end\">%.1f</text>\n", left, left + width, y, y, left - 6, y + 4, i / 10
    }
    printf "<text x=\"%d\" y=\"%d\">epoch 1</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">epoch %d</text>\n", left, top + height + 18, left + width, top + height + 18, last
    for (r = 1; r <= runs; ++r) {
        points = ""
        for (e = 1; e <= epochs[r]; ++e) points = points sprintf("%.1f,%.1f ", left + width * (e - 1) / (last - 1), top + height * (1 - accuracy[r, e]))
        printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", points, colour[(r - 1) % 10 + 1]
        y = top + 10 + 18 * (r - 1)
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" stroke-width=\"3\"/><text x=\"%d\" y=\"%d\">%s</text>\n", left + width + 12, left + width + 32, y, y, colour[(r - 1) % 10 + 1], left + width + 38, y + 4, title[r]
    }
    print "</svg>"
}
