/* The contract between an executable's generated code and the runtime, in C.
 *
 * The generated `main` calls kiln_main(argc, argv, &program). Everything the runtime must know by name is JSON in
 * `metadata` (see the end of this file); everything that computes is a function below. The runtime does no arithmetic on
 * tensors.
 */
#ifndef KILN_PROGRAM_H
#define KILN_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KILN_ABI_VERSION = 4 };

/* What the generated functions work on; owned by the runtime. The four tables stay where they are for the life of the
 * program, and so do the arenas; entries of `columns` change from step to step. */
typedef struct KilnContext {
    uint8_t **arenas;      /* base addresses, 64-byte aligned, by index in metadata.arenas */
    const void **columns;  /* the current batch, by index in metadata.columns: [batch, ..], 64-byte aligned */
    double *scalars;       /* by index in metadata.scalars; integers (seed, step) are exact below 2^53 */
    double *sums;          /* by index in metadata.means: sums over samples, added to by train_step and eval_step */
    void **augmented;      /* where `augment` writes, by index in metadata.columns: as `columns`; read by `augment` alone */
    int64_t *marks;        /* null; else kiln_mark writes the time here before and after each kernel, and moves it on: see metadata.profiles */
} KilnContext;

enum { KILN_STEP_OK = 0, KILN_STEP_NOT_FINITE = 1 };

/* The runtime writes the scalars seed, step (1-based, over the whole run), epoch (0-based, over the whole run), progress
 * (phase_step / phase_steps), steps_per_epoch, phase_step (0-based), phase_steps and phase before each train_step and
 * step_rule, record (the number of the batch's first record in its split) before eval_step and predict_step, 0 in training, (the
 * number of the element in its text) before generate_step, and fills in hypers, globals and seed before `init`; a name of these that metadata.scalars lacks is left out. All scalars are
 * part of a checkpoint. */
typedef struct KilnProgram {
    int32_t abi_version;
    const char *metadata;      /* JSON, UTF-8, zero-terminated */
    const uint8_t *constants;  /* content of the "constant" arena, copied into it before bind; null if there is none */
    /* Once, after the arenas are allocated (zeroed), before anything else. */
    void (*bind)(KilnContext *);
    /* Gives storage, which must be zeros, its initial values from the scalar `seed`. */
    void (*init)(KilnContext *);
    /* The phase's rule before a step: writes the scalars `rate` and what else changes from step to step. */
    void (*step_rule)(KilnContext *, int32_t phase);
    /* One training step at the rate in the scalar `rate`: forward, backward, loss check, update. Adds the training samples'
     * values of metadata.train_samples to sums (for "loss": batch times the loss). KILN_STEP_NOT_FINITE: the loss (in scalar `loss`) is not finite and no storage was written. */
    int32_t (*train_step)(KilnContext *, int32_t phase);
    /* The end of an epoch: rules with memory; scalar `loss` holds the epoch's mean training loss. */
    void (*epoch_end)(KilnContext *, int32_t phase);
    /* Inference on the current batch; adds the metrics of the first `valid` samples to sums. */
    void (*eval_step)(KilnContext *, int64_t valid);
    /* Inference on the current batch; the outputs lie in their arenas afterwards. */
    void (*predict_step)(KilnContext *);
    /* means, by index in metadata.means, -> what is reported, by index in metadata.samples: a square root for rmse, a quotient of two means for
     * precision, the mean itself for accuracy. Null: the means, as many as samples. */
    void (*report)(const double *means, double *reported);
    /* Reads the current batch and writes the columns of metadata.phases[phase].augmented, which train_step is given instead. May run on
     * another thread beside the other functions, with a context of its own: it uses `columns`, `augmented` and `scalars` (seed, step, epoch,
     * progress, .. of the step that the batch is for, and hypers), and the arena "augment". Null if no phase augments. */
    void (*augment)(KilnContext *, int32_t phase);
    /* Whether metadata.requirements[index] is met by the scalars: hypers, and for one of a phase also phase_steps and steps_per_epoch. */
    int32_t (*check)(KilnContext *, int32_t index);
    /* Inference on one sample, the first of the current batch: all of metadata.traces lie in their arenas afterwards. */
    void (*trace_step)(KilnContext *);
    /* Draws the classes of metadata.generates for one sample, the first of the current batch, each from the elements before it, with the random
     * numbers of the scalars seed, step and record: metadata.generates.drawn lies in its arena afterwards. */
    void (*generate_step)(KilnContext *);
} KilnProgram;
/* A program without training has null train_step, step_rule and epoch_end, and no phases; one without loss and metrics a null
 * eval_step. init may be null if there is no storage, check if nothing is required, trace_step if there is nothing to trace,
 * generate_step if there is nothing to generate. */

/* metadata:
 * {
 *   "model": "Digits", "doc": "...", "source": "digits.model", "version": "kiln 0.1.0",
 *   "float": "f32", "batch": 64, "shuffle": true,
 *   "scalars":  ["seed", "step", "epoch", "progress", "steps_per_epoch", "phase_step", "phase_steps", "phase", "rate", "loss", "record", ...],
 *   "hypers":   [{"name": "lr", "kind": "real" | "integer" | "boolean", "default": 0.001, "doc": "...", "scalar": 10, "generates": false}],      generates: generate_step alone depends on it
 *   "globals":  [{"name": "best", "initial": 1e308, "scalar": 11}],
 *   "columns":  [{"name": "image", "dtype": "f32", "shape": [28, 28, 1], "classes": 0,
 *                 "capacity": "users", "vocabulary": {"unknown": "?", "at_least": 1}, "predicts": true}],
 *   "arenas":   [{"name": "work", "bytes": 1234560}, {"name": "param", "bytes": ...}, ...],
 *   "storages": [{"path": "Digits/conv/W", "kind": "param" | "buffer" | "state", "dtype": "f32", "shape": [..],
 *                 "arena": 1, "offset": 0}],                                                      offset in bytes
 *   "splits":   [{"name": "train", "reader": "idx", "arguments": {"images": {"path": "train-images-idx3-ubyte"}, ...}}],
 *   "phases":   [{"name": "main", "epochs": 4, "patience": 0, "restore_best": false, "split": "train", "augmented": ["image"],    patience 0: none
 *                 "mix": [{"split": "train", "rows": 48}, {"split": "unlabelled", "rows": 16, "pseudo": true, "soft": true, "every_epoch": true, "above": 0.9}]}],
 *                                    what each batch is made of, in order; "above_hyper": "sure" in the place of "above". If one is soft, the
 *                                    column pseudo_label is f32[batch, classes] for `augment` and train_step, shares of the classes
 *   "pseudo_label": "label",
 *   "augmented": [{"column": "image", "dtype": "f32", "shape": [64, 28, 28, 1]}],   as train_step reads them: a label that is mixed
 *                                                                 is f32[batch, classes], shares of the classes
 *   "scan": {"training": {"reader": .., "arguments": ..}, "settings": [{"hyper": "rotation", "values": [{"number": 0.0873, "text": "5deg"}],
 *            "begin": 40, "end": 44, "regularizes": false}], "on": "validation", "metric": "accuracy", "higher_is_better": true,
 *            "seeds": 3, "epochs": 0, "source": "...", "build": ["-O2", ..]},   only with a `scan` block; begin and end are bytes of source, which
 *                                                             needs no other file; a setting {"const": "width", "values": [{"define": "32", ..}],
 *                                                             "built": 0, ..} takes programs of `kiln build -D width=32` with the arguments
 *                                                             `build`; this program has the value number `built` (-1: another one)
 *   "samples":  ["loss", "precision"],
 *   "means":    ["loss", "precision", "precision.2"],             samples, then further means that metrics are computed from; absent: samples
 *   "sample_values": [{"name": "loss", "dtype": "f32", "shape": [64], "arena": 0, "offset": 4096}],   what eval_step added up: a value
 *                                                  for each sample ([batch], or [] for all of them), there until the next function is called
 *   "train_samples": ["loss"],                                    those that train_step adds to sums; absent: all of them
 *   "metrics":  [{"name": "precision", "higher_is_better": true}], "best_metric": "precision",
 *   "outputs":  [{"name": "probabilities", "dtype": "f32", "shape": [64, 10], "arena": 0, "offset": 4096}],
 *   "requirements": [{"message": "the learning rate is not negative", "phase": -1, "scalars": ["lr"]}],     scalars it looks at;
 *                                                  phase: index of the phase whose length they are about, -1: hypers alone
 *   "traces":   [{"name": "conv_1.conv2d", "dtype": "f32", "shape": [1, 26, 26, 8], "arena": 0, "offset": 4096}],  in order
 *   "generates": {"column": "text", "begin": 1, "end": 65, "inputs": ["topic"], "drawn": {"name": .., "dtype": "i32", "shape": [1, 64], ..}},   only with a
 *                                                  `generate` statement: drawn are the elements begin .. end - 1 of the column; inputs: further columns that are read
 *   "profiles": [{"program": "train", "phases": [0], "calls": [{"kernel": "conv2d", "at": "digits.model:12:5", "in": "Digits/conv_1", "flops": 123456,
 *                 "bytes": 4096, "type": "f32[64, 26, 26, 8]"}]}],      the kernels of train_step ("train"), eval_step ("evaluate"), predict_step
 *                                                  ("predict"), generate_step ("generate") and augment ("augment"), in order; bytes: of arguments and results, each once
 *   "embeddings": [{"input": "user", "storage": 0}],             tables of which an input says which rows are read, in any graph
 *   "layers":   [{"path": "Digits/conv_1", "output": "f32[64, 26, 26, 32]", "parameters": 320}],
 *   "parameters": 123456, "flops_per_sample": 1.2e7, "peak_bytes": 12345678
 * }
 * Reader arguments are numbers, booleans, strings, lists, {"path": "relative/to/--data"} or calls {"reader": .., "arguments": {..}}. The arena named "constant" is filled
 * from `constants`. A column with classes > 0 is an i32 label; "capacity" is the `const` that sizes it, if one does; with "vocabulary" its values are text. "predicts": the outputs
 * depend on it.
 */

#define RUNTIME_FUNCTION(result, name, arguments) result name arguments;
#include "kiln/abi.def"
#undef RUNTIME_FUNCTION

#ifdef __cplusplus
}
#endif
#endif
