//! What text at a terminal needs: colour, lines that fit, tables.
//!
//! Nothing here knows what is shown. Whatever somebody else wrote goes through
//! [`visible`] first, so that no log can give orders to the terminal.

mod table;

use std::borrow::Cow;
use std::io::IsTerminal;

pub(crate) use table::{Cell, Column, Table};

/// Columns of a terminal that doesn't say how many it has.
const WIDTH: usize = 80;

/// How to write for whoever reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Style {
    /// Whether colours are understood.
    pub(crate) color: bool,
    /// Columns that a line may fill.
    pub(crate) width: usize,
}

/// The look of a piece of text. Colour only stresses what words say.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Paint {
    Bold,
    Cyan,
    Dim,
    Green,
    #[default]
    Plain,
    Red,
    RedBold,
    Yellow,
}

impl Style {
    /// For standard output; `variable` tells what whoever reads asks for.
    pub(crate) fn of_stdout(variable: impl Fn(&str) -> Option<String>) -> Self {
        let stdout = std::io::stdout();
        let width = terminal_size::terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
        Self::of(stdout.is_terminal(), width, variable)
    }

    /// Colourless for files, pipes, terminals that know no colours, and whoever wants none.
    fn of(terminal: bool, width: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let unwanted = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = width.filter(|width| *width > 0).unwrap_or(WIDTH);
        Self { color: terminal && !unwanted && !is_dumb(variable), width }
    }

    /// Text in a colour.
    pub(crate) fn paint(self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Plain => return text.to_owned(),
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Red => "31",
            Paint::Green => "32",
            Paint::Yellow => "33",
            Paint::Cyan => "36",
            Paint::RedBold => "1;31",
        };
        if self.color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Each line in a colour, so that none runs into what stands before the next.
    pub(crate) fn paint_lines(self, paint: Paint, text: &str) -> String {
        let line = |line: &str| {
            let (blanks, words) = line.split_at(line.len() - line.trim_start().len());
            blanks.to_owned() + &self.paint(paint, words)
        };
        text.split('\n').map(line).collect::<Vec<_>>().join("\n")
    }

    /// Words in lines no longer than the terminal is wide; further lines are indented.
    pub(crate) fn wrap(self, text: &str, indent: usize) -> String {
        self.wrap_pieces(text.split_whitespace(), " ", indent)
    }

    /// The same of each line.
    pub(crate) fn wrap_lines(self, text: &str, indent: usize) -> String {
        text.lines().map(|line| self.wrap(line, indent)).collect::<Vec<_>>().join("\n")
    }

    /// The same with pieces that stay whole, and what stands between them.
    pub(crate) fn wrap_pieces<'a>(
        self,
        mut pieces: impl Iterator<Item = &'a str>,
        separator: &str,
        indent: usize,
    ) -> String {
        let mut line = pieces.next().unwrap_or_default().to_owned();
        let mut done = String::new();
        for piece in pieces {
            if width(&line) + width(separator) + width(piece) <= self.width {
                line.extend([separator, piece]);
            } else {
                done.extend([line.as_str(), "\n"]);
                line = " ".repeat(indent) + piece;
            }
        }
        done + &line
    }
}

/// Whether the terminal says that it takes nothing but text.
pub(crate) fn is_dumb(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("TERM").is_some_and(|term| term == "dumb")
}

/// Text of one line that a terminal only shows: controls, line breaks and what
/// turns the direction of writing are written as escapes, tabs as two blanks.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("  "),
            c if c.is_control() || is_invisible(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Marks that change how their neighbours are shown, and line breaks of Unicode.
///
/// Source: <https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing>
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text in so many columns; what is cut off leaves a `…`.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut room = columns.saturating_sub(1);
    let fits = |c: &char| {
        let fits = char_width(*c) <= room;
        room = room.saturating_sub(char_width(*c));
        fits
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// Columns that text fills.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// East Asian characters and emoji fill two columns, marks on other characters none.
///
/// The ranges are rough: where they are wrong, a column stands askew.
///
/// Source: <https://www.unicode.org/reports/tr11/>
const fn char_width(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// How much is where: a column of the terminal for each count, as high as it is large.
pub(crate) fn spark(counts: &[u32]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = u64::from(counts.iter().copied().max().unwrap_or_default()).max(1);
    let height = |count: u32| (u64::from(count) * 8).div_ceil(most).checked_sub(1);
    let char = |count: &u32| {
        let place = height(*count).and_then(|height| usize::try_from(height).ok());
        place.and_then(|place| HEIGHTS.get(place)).copied().unwrap_or(' ')
    };
    counts.iter().map(char).collect()
}

/// A number as people write it: whole, or to three places.
pub(crate) fn number(value: f64) -> String {
    if value != 0.0 && !(0.001..1e15).contains(&value.abs()) {
        return format!("{value:e}");
    }
    let text = format!("{value:.3}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// So many of something: `1 log`, `2 logs`.
pub(crate) fn count(many: impl TryInto<u64>, what: &str) -> String {
    let many = many.try_into().unwrap_or(u64::MAX);
    let plural = if many == 1 { "" } else { "s" };
    format!("{many} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gives_orders_to_the_terminal() {
        for (text, expected) in [
            ("plain é 頼む", "plain é 頼む"),
            ("a\tb", "a  b"),
            ("\u{1b}[31mred\u{7}", "\\u{1b}[31mred\\u{7}"),
            ("a\rb\nc\u{9b}2J\u{7f}", "a\\rb\\nc\\u{9b}2J\\u{7f}"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn a_spark_is_as_high_as_its_count() {
        assert_eq!(spark(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(spark(&[0, 0]), "  ");
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (3.0, "3"),
            (84.9, "84.9"),
            (0.1 + 0.2, "0.3"),
            (1_000_000.0, "1000000"),
            (-2.5, "-2.5"),
            (0.000_018_7, "1.87e-5"),
            (1e21, "1e21"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn cuts_and_wraps_by_columns() {
        for (text, columns, expected) in [
            ("checkout", 8, "checkout"),
            ("checkout", 7, "checko…"),
            ("頼む頼む", 6, "頼む…"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ] {
            assert_eq!(cut(text, columns), expected);
        }
        let style = Style { color: false, width: 10 };
        assert_eq!(style.wrap("- one two three fourteenhundred", 2), "- one two\n  three\n  fourteenhundred");
        assert_eq!(style.wrap_lines("one two three\nfour", 2), "one two\n  three\nfour");
    }

    #[test]
    fn colours_are_for_terminals_that_know_them_and_people_who_want_them() {
        for (terminal, name, value, expected) in [
            (true, "TERM", "xterm-256color", true),
            (true, "NO_COLOR", "", true),
            (true, "NO_COLOR", "1", false),
            (true, "TERM", "dumb", false),
            (false, "TERM", "xterm-256color", false),
        ] {
            let style = Style::of(terminal, Some(0), |asked| (asked == name).then(|| value.to_owned()));
            assert_eq!(style, Style { color: expected, width: WIDTH }, "{terminal} {name}={value}");
        }
    }
}
