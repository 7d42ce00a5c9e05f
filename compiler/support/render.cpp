// Diagnostics as text: source lines with carets under the places involved.
#include "compiler/support/diagnostics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace kiln {
namespace {

/// More than this many diagnostics help nobody; the rest is counted.
constexpr size_t kMaxRendered = 100;
/// Longest piece of a source line that is shown, in columns; longer lines are cut around the caret.
constexpr int kMaxLineWidth = 140;

struct Style {
    const char *bold = "", *red = "", *yellow = "", *blue = "", *reset = "";
};

Style make_style(bool colour) {
    if (!colour) return {};
    return {"\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[0m"};
}

/// One character as the terminal shows it: control characters and broken UTF-8 must not reach it.
struct Glyph {
    std::string text;
    uint32_t begin = 0;  ///< byte offset in the file
    int width = 1;
};

int display_width(uint32_t code_point) {
    if (code_point >= 0x300 && code_point <= 0x36F) return 0;  // combining marks
    bool wide = (code_point >= 0x1100 && code_point <= 0x115F) || (code_point >= 0x2E80 && code_point <= 0xA4CF) ||
                (code_point >= 0xAC00 && code_point <= 0xD7A3) || (code_point >= 0xF900 && code_point <= 0xFAFF) ||
                (code_point >= 0xFE30 && code_point <= 0xFE6F) || (code_point >= 0xFF00 && code_point <= 0xFF60) ||
                (code_point >= 0x1F300 && code_point <= 0x1FAFF) || (code_point >= 0x20000 && code_point <= 0x3FFFD);
    return wide ? 2 : 1;
}

/// Decodes the character at `position`; returns the number of bytes, 0 if they are not UTF-8.
size_t decode(std::string_view text, size_t position, uint32_t &code_point) {
    auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    unsigned char lead = byte(position);
    size_t size = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
    if (size == 0 || position + size > text.size()) return 0;
    code_point = size == 1 ? lead : lead & (0x7F >> size);
    for (size_t i = 1; i < size; ++i) {
        if ((byte(position + i) & 0xC0) != 0x80) return 0;
        code_point = code_point << 6 | (byte(position + i) & 0x3F);
    }
    return size;
}

std::vector<Glyph> to_glyphs(std::string_view text, uint32_t offset) {
    std::vector<Glyph> glyphs;
    for (size_t i = 0; i < text.size();) {
        uint32_t code_point = 0;
        size_t size = decode(text, i, code_point);
        Glyph glyph;
        glyph.begin = offset + static_cast<uint32_t>(i);
        bool control = code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0) ||
                       (code_point >= 0x200B && code_point <= 0x200F) || (code_point >= 0x202A && code_point <= 0x202E) ||
                       (code_point >= 0x2066 && code_point <= 0x2069) || code_point == 0xFEFF;
        if (size == 1 && text[i] == '\t') {
            glyph.text = " ";
        } else if (size == 0 || control) {
            glyph.text = "\xEF\xBF\xBD";
        } else {
            glyph.text = text.substr(i, size);
            glyph.width = display_width(code_point);
        }
        glyphs.push_back(std::move(glyph));
        i += std::max<size_t>(size, 1);
    }
    return glyphs;
}

/// A place to underline in one line.
struct Marker {
    uint32_t begin, end;
    bool primary;
    std::string text;
};

using LineMarkers = std::map<int, std::vector<Marker>>;

class Renderer {
public:
    explicit Renderer(bool colour) : style_(make_style(colour)) {}

    void diagnostic(const Diagnostic &d) {
        const char *colour = d.severity == Severity::error ? style_.red : style_.yellow;
        const char *word = d.severity == Severity::error ? "error" : "warning";
        if (d.loc.valid() || !d.loc.file.empty()) out_ += fmt::format("{}{}:{} ", style_.bold, to_string(d.loc), style_.reset);
        out_ += fmt::format("{}{}[{}]{}: {}{}{}\n", colour, word, code_text(d.code), style_.reset, style_.bold, d.message, style_.reset);

        // The primary file first, then each file a label points into, in the order of the labels.
        std::vector<const SourceFile *> files;
        std::map<const SourceFile *, LineMarkers> markers;
        auto mark = [&](SourceRange range, bool primary, const std::string &text) {
            if (!range.valid()) return;
            if (std::find(files.begin(), files.end(), range.file) == files.end()) files.push_back(range.file);
            markers[range.file][line_column(*range.file, range.begin).line].push_back({range.begin, range.end, primary, text});
        };
        std::string primary_text;
        for (const Label &label : d.labels) {
            if (same(label.range, d.range) && primary_text.empty()) primary_text = label.text;
        }
        mark(d.range, true, primary_text);
        for (size_t i = 0; i < d.labels.size(); ++i) {
            const Label &label = d.labels[i];
            const auto says_so = [&](const Label &other) { return same(label.range, other.range) && label.text == other.text; };
            if (says_so({d.range, primary_text}) || std::any_of(d.labels.begin(), d.labels.begin() + long(i), says_so)) continue;
            mark(label.range, false, label.text);
        }
        int last_line = 1;
        for (auto &[file, lines] : markers) last_line = std::max(last_line, lines.rbegin()->first);
        gutter_ = std::max<int>(4, static_cast<int>(fmt::formatted_size("{}", last_line)) + 2);
        for (const SourceFile *file : files) {
            if (file->text.empty()) continue;
            LineMarkers &lines = markers[file];
            if (file != d.range.file) {
                out_ += fmt::format("{:>{}} {}{}:{}{}\n", "-->", gutter_, style_.bold, file->name, lines.begin()->first, style_.reset);
            }
            snippet(*file, lines, colour);
        }
        for (const Label &label : d.labels) {
            if (!label.range.valid()) out_ += fmt::format("{}note{}: {}\n", style_.blue, style_.reset, label.text);
        }
        for (const std::string &note : d.notes) out_ += fmt::format("{}note{}: {}\n", style_.blue, style_.reset, note);
    }

    void more(size_t count) { out_ += fmt::format("... and {} more diagnostics\n", count); }

    std::string take() { return std::move(out_); }

private:
    static bool same(const SourceRange &a, const SourceRange &b) { return a.file == b.file && a.begin == b.begin && a.end == b.end; }

    void snippet(const SourceFile &file, LineMarkers &lines, const char *primary_colour) {
        int previous = 0;
        for (auto &[line, markers] : lines) {
            if (previous != 0 && line > previous + 1) out_ += fmt::format("{}{:>{}}{}\n", style_.blue, "...", gutter_, style_.reset);
            previous = line;
            std::stable_sort(markers.begin(), markers.end(), [](const Marker &a, const Marker &b) { return a.begin < b.begin; });
            one_line(file, line, markers, primary_colour);
        }
    }

    void one_line(const SourceFile &file, int line, const std::vector<Marker> &markers, const char *primary_colour) {
        uint32_t start = file.line_starts[line - 1];
        std::string_view text = line_text(file, line);
        // Bytes are cut before decoding, so that a line of megabytes costs nothing; a cut may split one character.
        constexpr uint32_t kMargin = 60, kMaxBytes = 4 * kMaxLineWidth;
        uint32_t first = markers.front().begin - start;
        for (const Marker &marker : markers) {
            if (marker.primary) first = marker.begin - start;
        }
        uint32_t cut = text.size() > kMaxLineWidth && first > kMaxLineWidth - kMargin ? first - kMargin : 0;
        while (cut > 0 && cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
        bool cut_before = cut > 0;
        std::vector<Glyph> glyphs = to_glyphs(text.substr(std::min<size_t>(cut, text.size()), kMaxBytes), start + cut);
        bool cut_after = cut + kMaxBytes < text.size();
        if (glyphs.size() > kMaxLineWidth) {
            glyphs.resize(kMaxLineWidth);
            cut_after = true;
        }

        std::string shown = cut_before ? "..." : "";
        for (const Glyph &glyph : glyphs) shown += glyph.text;
        if (cut_after) shown += "...";
        while (!shown.empty() && shown.back() == ' ') shown.pop_back();
        out_ += fmt::format("{}{:>{}} |{}{}{}\n", style_.blue, line, gutter_, style_.reset, shown.empty() ? "" : " ", shown);

        for (const Marker &marker : markers) {
            int column = cut_before ? 3 : 0, width = 0;
            for (const Glyph &glyph : glyphs) {
                if (glyph.begin < marker.begin) column += glyph.width;
                else if (glyph.begin < marker.end) width += glyph.width;
            }
            const char *colour = marker.primary ? primary_colour : style_.blue;
            out_ += fmt::format("{}{:>{}} |{} {:>{}}{}{}{}{}{}\n", style_.blue, "", gutter_, style_.reset, "", column, colour,
                                std::string(std::max(width, 1), marker.primary ? '^' : '-'), marker.text.empty() ? "" : " ",
                                marker.text, style_.reset);
        }
    }

    Style style_;
    std::string out_;
    int gutter_ = 4;
};

}  // namespace

std::string render(const Diagnostics &diagnostics, bool colour) {
    Renderer renderer(colour);
    const std::vector<Diagnostic> &all = diagnostics.all();
    for (size_t i = 0; i < std::min(all.size(), kMaxRendered); ++i) renderer.diagnostic(all[i]);
    if (all.size() > kMaxRendered) renderer.more(all.size() - kMaxRendered);
    return renderer.take();
}

}  // namespace kiln
