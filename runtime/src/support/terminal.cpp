#include "support/terminal.h"

#include "support/text.h"

#include <unistd.h>
#include <cstdint>

namespace kiln::runtime {

static constexpr const char *kReplacement = "\xef\xbf\xbd";

int character_size(std::string_view text) {
    const uint8_t lead = uint8_t(text[0]), second = text.size() > 1 ? uint8_t(text[1]) : uint8_t(0);
    const bool is_control = lead < ' ' || lead == 0x7f || (lead == 0xc2 && second >= 0x80 && second < 0xa0);
    return is_control && lead != '\n' && lead != '\t' ? -1 : sequence_size(text);
}

std::string TerminalText::take(std::string_view bytes) {
    held_ += bytes;
    std::string shown;
    size_t at = 0;
    while (at < held_.size()) {
        const int size = character_size(std::string_view(held_).substr(at));
        if (size == 0) break;
        shown += size > 0 ? held_.substr(at, size_t(size)) : kReplacement;
        at += size > 0 ? size_t(size) : 1;
    }
    held_.erase(0, at);
    return shown;
}

std::string TerminalText::rest() {
    const bool incomplete = !held_.empty();
    held_.clear();
    return incomplete ? kReplacement : "";
}

bool prints_to_terminal() { return ::isatty(STDOUT_FILENO) != 0; }

}  // namespace kiln::runtime
