#include "support/terminal.h"

#include <unistd.h>
#include <cstdint>

namespace kiln::runtime {

static constexpr const char *kReplacement = "\xef\xbf\xbd";

int character_size(std::string_view text) {
    const auto byte = [&](size_t i) { return uint8_t(text[i]); };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return (lead >= ' ' && lead != 0x7f) || lead == '\n' || lead == '\t' ? 1 : -1;
    const size_t size = lead >= 0xc2 && lead <= 0xdf ? 2 : lead >= 0xe0 && lead <= 0xef ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (size == 0) return -1;
    if (text.size() > 1) {  // neither longer than need be, nor a surrogate, nor beyond U+10FFFF, nor a control character
        const uint8_t least = lead == 0xc2 || lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80, most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (byte(1) < least || byte(1) > most) return -1;
    }
    for (size_t i = 2; i < size && i < text.size(); ++i)
        if ((byte(i) & 0xc0) != 0x80) return -1;
    return text.size() < size ? 0 : int(size);
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
