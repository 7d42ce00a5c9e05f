// Text that comes byte by byte, as a terminal can show it.
#pragma once

#include <string>
#include <string_view>

namespace kiln::runtime {

/// Of the character that a text, not an empty one, begins with: how many bytes it has if it is complete UTF-8 and no control character but a line break or
/// a tab, 0 if it can become such a one, else -1.
int character_size(std::string_view text);

/// Holds back the bytes of a character until it is complete. What is no UTF-8, and control characters, by which a text could move the cursor or change
/// colours, become the replacement character U+FFFD; line breaks and tabs stay.
class TerminalText {
public:
    /// What can be shown now.
    std::string take(std::string_view bytes);
    /// What is left at the end.
    std::string rest();

private:
    std::string held_;
};

/// Whether the standard output is a terminal.
bool prints_to_terminal();

}  // namespace kiln::runtime
