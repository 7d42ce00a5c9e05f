#include "threads/team_fit.h"

#include <algorithm>

namespace kiln::runtime {
namespace {

constexpr double kLongest = 0.5e-3;    // seconds: longer work gains from every member
constexpr int64_t kUnsettled = 8;      // runs until the data lies in the caches of those that work on it now
constexpr int64_t kWindow = 8;         // runs whose fastest counts: others were disturbed
constexpr int64_t kMostWait = 1 << 14;  // runs from one trial to the next
constexpr double kBetter = 0.95, kHopeless = 1.5, kChanged = 1.3;

}  // namespace

void TeamFit::took(double seconds) {
    if (most_ == 1 || ++runs_ <= kUnsettled) return;
    const int64_t measured = runs_ - kUnsettled;
    least_ = measured == 1 ? seconds : std::min(least_, seconds);
    if (shape_ != settled_) {
        if (measured < kWindow && !(measured >= 2 && least_ > kHopeless * before_)) return;
        const bool better = least_ < kBetter * before_;
        wait_ = better ? kFirstWait : std::min(4 * wait_, kMostWait);
        if (better) next_ = (next_ + 2) % 3;  // further the same way
        go_on_with(better ? shape_ : settled_);
    } else if (measured == kWindow) {
        const bool changed = before_ > 0 && least_ > kChanged * before_;
        before_ = before_ > 0 && !changed ? std::min(before_, least_) : least_;
        settled_runs_ += kWindow;
        runs_ = kUnsettled;
        if (least_ < kLongest && (settled_runs_ >= wait_ || changed)) try_another();
    }
}

void TeamFit::go_on_with(TeamShape shape) {
    settled_ = shape_ = shape;
    runs_ = settled_runs_ = 0;
    before_ = 0;
}

void TeamFit::try_another() {
    before_ = least_;
    runs_ = 0;
    while (shape_ == settled_) {
        const int members = settled_.members;
        if (next_ == 0 && members > 1) shape_ = {members / 2};
        if (next_ == 1 && members < most_) shape_ = {std::min(2 * members, most_)};
        if (next_ == 2 && members > 1) shape_ = {members, !settled_.leads};
        next_ = (next_ + 1) % 3;
    }
}

}  // namespace kiln::runtime
