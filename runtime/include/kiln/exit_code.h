/* Exit codes of every executable, once: EXIT_CODE(name, value, meaning). `--help` prints this table. */
#ifndef KILN_EXIT_CODE_H
#define KILN_EXIT_CODE_H

#define KILN_EXIT_CODES(EXIT_CODE)                                                                   \
    EXIT_CODE(ok, 0, "success")                                                                      \
    EXIT_CODE(usage, 2, "wrong command line")                                                        \
    EXIT_CODE(data, 3, "missing, malformed or unsuitable data or picture")                           \
    EXIT_CODE(checkpoint, 4, "missing, corrupted or foreign checkpoint, or the run folder is taken") \
    EXIT_CODE(not_finite, 5, "the loss or the learning rate is no finite number, or a weight is NaN") \
    EXIT_CODE(disk, 6, "a file or the output could not be written; earlier checkpoints are intact")  \
    EXIT_CODE(memory, 7, "out of memory")                                                            \
    EXIT_CODE(internal, 70, "a bug in Kiln")                                                         \
    EXIT_CODE(hangup, 129, "stopped by SIGHUP; a training is saved in last/")                        \
    EXIT_CODE(interrupted, 130, "stopped by Ctrl-C (SIGINT); a training is saved in last/")          \
    EXIT_CODE(terminated, 143, "stopped by SIGTERM; a training is saved in last/")

#ifdef __cplusplus
namespace kiln::runtime {
enum class ExitCode : int {
#define EXIT_CODE(name, value, meaning) name = value,
    KILN_EXIT_CODES(EXIT_CODE)
#undef EXIT_CODE
};
}  // namespace kiln::runtime
#endif
#endif
