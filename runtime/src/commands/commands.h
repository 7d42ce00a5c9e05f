// The commands of an executable besides train. Each prints to stdout and throws Failure.
#pragma once

#include "commands/command_line.h"
#include "program/state.h"

namespace kiln::runtime {

void eval_command(ProgramState &state, const EvalOptions &options);
void predict_command(ProgramState &state, const PredictOptions &options);
/// Prints a text as it is drawn. A stop signal gives its exit code.
ExitCode generate_command(ProgramState &state, const GenerateOptions &options);
void factors_command(ProgramState &state, const FactorsOptions &options);
void data_command(ProgramState &state, const DataOptions &options);
void recommend_command(ProgramState &state, const RecommendOptions &options);
void similar_command(ProgramState &state, const RecommendOptions &options);
/// Writes a CSV file for each tensor and the picture trace.png.
void trace_command(ProgramState &state, const TraceOptions &options);
/// Trains each value of each setting, prints the ranking, writes tables, curves and the best model. A stop signal gives its exit code.
ExitCode scan_command(const KilnProgram &program, const Metadata &metadata, const ScanOptions &options);
/// Writes an HTML file that needs nothing else.
void report_command(ProgramState &state, const ReportOptions &options);
void summary_command(const Metadata &metadata);
/// Trains on a copy of the weights in memory; the run folder is only read.
void lr_find_command(ProgramState &state, const LrFindOptions &options);
/// Trains, or predicts, on one batch in memory.
void bench_command(ProgramState &state, const BenchOptions &options);
void explain_schedule_command(ProgramState &state, const ExplainScheduleOptions &options);

}  // namespace kiln::runtime
