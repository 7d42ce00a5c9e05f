#include "program/state.h"

#include "support/failure.h"
#include "support/text.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace kiln::runtime {
namespace {

constexpr size_t kLineBytes = 64;

template <typename Real>
bool is_finite(const Real *values, int64_t count) {
    bool finite = true;
    for (int64_t i = 0; i < count; ++i) finite &= std::abs(values[i]) <= std::numeric_limits<Real>::max();
    return finite;
}
template <typename Real>
bool has_nan(const Real *values, int64_t count) {
    return std::any_of(values, values + count, [](Real value) { return std::isnan(value); });
}

}  // namespace

ProgramState::ProgramState(const KilnProgram &program, const Metadata &metadata) : program(program), metadata(metadata) {
    size_t bytes = 0;
    for (const Arena &arena : metadata.arenas) bytes += round_up(size_t(arena.bytes), kLineBytes);
    memory_.emplace(bytes);
    uint8_t *next = memory_->data();
    for (const Arena &arena : metadata.arenas) {
        if (arena.name == "constant" && program.constants) std::memcpy(next, program.constants, size_t(arena.bytes));
        arenas_.push_back(next);
        next += round_up(size_t(arena.bytes), kLineBytes);
    }
    columns_.resize(metadata.columns.size());
    scalars_.resize(metadata.scalars.size());
    record_ = metadata.scalar("record");
    sums_.resize(metadata.means.size());
    for (const Hyper &hyper : metadata.hypers) scalars_[hyper.scalar] = hyper.default_value;
    for (const Global &global : metadata.globals) scalars_[global.scalar] = global.initial;
    context_ = {arenas_.data(), columns_.data(), scalars_.data(), sums_.data(), nullptr, nullptr};
    if (program.bind) program.bind(&context_);
}

void ProgramState::clear_gradients() {
    for (size_t i = 0; i < arenas_.size(); ++i)
        if (metadata.arenas[i].name == "gradient") std::memset(arenas_[i], 0, size_t(metadata.arenas[i].bytes));
}

std::optional<SpoiltParameter> ProgramState::spoilt_parameter() {
    std::optional<SpoiltParameter> spoilt;
    for (const Storage &each : metadata.storages) {
        if (each.kind != StorageKind::param) continue;
        auto look = [&](const auto *values) {
            const int64_t count = element_count(each.shape);
            if (is_finite(values, count)) return;
            const bool nan = has_nan(values, count);
            if (!spoilt || nan) spoilt = SpoiltParameter{each.path, nan ? "NaN" : "infinite"};
        };
        if (each.dtype == DType::f32) look(reinterpret_cast<const float *>(storage(each)));
        if (each.dtype == DType::f64) look(reinterpret_cast<const double *>(storage(each)));
        if (spoilt && spoilt->what == std::string_view("NaN")) return spoilt;
    }
    return spoilt;
}

void ProgramState::set(std::string_view name, double value) {
    if (int index = metadata.scalar(name); index >= 0) scalars_[size_t(index)] = value;
}

double ProgramState::get(std::string_view name, double otherwise) const {
    int index = metadata.scalar(name);
    return index >= 0 ? scalars_[size_t(index)] : otherwise;
}

void ProgramState::set_hypers(const std::map<std::string, double> &given) {
    for (const Hyper &hyper : metadata.hypers)
        if (auto value = given.find(hyper.name); value != given.end()) scalars_[hyper.scalar] = value->second;
    for (size_t i = 0; i < metadata.requirements.size(); ++i) {
        const Requirement &requirement = metadata.requirements[i];
        if (requirement.phase >= 0 || program.check(&context_, int32_t(i))) continue;
        std::vector<std::string> values;
        for (const std::string &name : requirement.scalars) values.push_back("--" + name + " " + number_text(get(name, 0)));
        fail(ExitCode::usage, "%s: a requirement does not hold: %s", join(values, ", ").c_str(), requirement.message.c_str());
    }
}

std::vector<std::string> ProgramState::unmet_plan(const std::vector<int64_t> &epochs, const std::vector<int64_t> &steps_per_epoch) {
    std::vector<std::string> unmet;
    std::vector<double> before = scalars_;
    for (size_t i = 0; i < metadata.requirements.size(); ++i) {
        const Requirement &requirement = metadata.requirements[i];
        if (requirement.phase < 0 || epochs.at(size_t(requirement.phase)) == 0) continue;
        int64_t each = steps_per_epoch[size_t(requirement.phase)], steps = epochs[size_t(requirement.phase)] * each;
        set("phase_steps", double(steps));
        set("steps_per_epoch", double(each));
        if (!program.check(&context_, int32_t(i)))
            unmet.push_back(format("phase %s has %lld steps: %s", metadata.phases[size_t(requirement.phase)].name.c_str(),
                                   (long long)steps, requirement.message.c_str()));
    }
    scalars_ = before;
    return unmet;
}

void ProgramState::set_columns(const std::vector<const void *> &columns, int64_t record) {
    for (size_t i = 0; i < columns_.size(); ++i) columns_[i] = columns[i];
    if (record_ >= 0) scalars_[size_t(record_)] = double(record);
}

int32_t ProgramState::train_step(int32_t phase) {
    return step_fit_.run([&] { return program.train_step(context(), phase); });
}

std::vector<double> reported(const ProgramState &state, const std::vector<double> &sums, double count) {
    std::vector<double> means = sums;
    for (double &mean : means) mean /= count;
    std::vector<double> values(means.begin(), means.begin() + long(state.metadata.samples.size()));
    if (state.program.report) state.program.report(means.data(), values.data());
    return values;
}

}  // namespace kiln::runtime
