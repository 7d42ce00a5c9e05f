# From what `predict --split validation --csv FILE` wrote of pictures in folders: a row for each class, a column for each prediction.
BEGIN { FS = "," }
NR == 1 {
    classes = NF - 1
    for (i = 1; i <= classes; ++i) name[i] = $(i + 1)
    next
}
{
    split($1, path, "/")
    taken = 1
    for (i = 2; i <= classes; ++i) if ($(i + 1) + 0 > $(taken + 1) + 0) taken = i
    ++count[path[1], taken]
}
END {
    printf "%4s", ""
    for (j = 1; j <= classes; ++j) printf "%5s", name[j]
    print ""
    for (i = 1; i <= classes; ++i) {
        printf "%4s", name[i]
        for (j = 1; j <= classes; ++j) printf "%5d", count[name[i], j]
        print ""
    }
}
