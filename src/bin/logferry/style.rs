//! What text at a terminal needs: colour, bars and tables.
//!
//! Nothing here knows what is shown. Whatever somebody else wrote goes through
//! [`visible`] first, so that no log can give orders to the terminal.

use std::borrow::Cow;
use std::io::IsTerminal;

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

/// Rows under titles, in columns as wide as they have to be.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Default)]
struct Row {
    cells: Vec<Cell>,
    /// What is said below it.
    note: String,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    side: Side,
    /// Blanks before it.
    gap: usize,
    /// How narrow it may become; as wide as its text if none.
    min: Option<usize>,
    /// Whether it is left out when there is no room: the highest number first, 0 never.
    expendable: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    /// Filled by bars, as wide as the others let it be.
    Bar,
    Left,
    Right,
}

/// One cell of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    text: String,
    paint: Paint,
    /// How much of the column a bar fills, from 0 to 1.
    fraction: Option<f64>,
}

impl Style {
    /// For standard output; colourless for files, pipes and whoever asks for it.
    pub(crate) fn of_stdout(no_color: bool) -> Self {
        let stdout = std::io::stdout();
        let width = terminal_size::terminal_size_of(&stdout).map_or(WIDTH, |(width, _)| usize::from(width.0));
        Self { color: !no_color && stdout.is_terminal(), width: if width == 0 { WIDTH } else { width } }
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

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row: one cell for each column.
    pub(crate) fn push(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(Row { cells: cells.into(), note: String::new() });
    }

    /// Says something below the last row.
    pub(crate) fn note(&mut self, text: String) {
        if let Some(row) = self.rows.last_mut() {
            row.note = text;
        }
    }

    /// Whether there is anything beside the first column.
    pub(crate) fn tells(&self) -> bool {
        (1..self.columns.len()).any(|index| self.natural(index).is_some())
    }

    /// Titles and rows, one a line.
    pub(crate) fn render(&self, style: Style) -> String {
        let widths = self.widths(style.width);
        let titles = self.columns.iter().map(|column| Cell::text(column.title).paint(Paint::Dim)).collect();
        let titles = Row { cells: titles, note: String::new() };
        let mut out = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            out.extend([self.line(&row.cells, &widths, style).trim_end(), "\n"]);
            if !row.note.is_empty() {
                let note = cut(&row.note, style.width.saturating_sub(2));
                out.extend(["  ", &style.paint(Paint::Dim, &note), "\n"]);
            }
        }
        out
    }

    fn line(&self, row: &[Cell], widths: &[Option<usize>], style: Style) -> String {
        let mut out = String::new();
        for ((column, cell), columns) in self.columns.iter().zip(row).zip(widths) {
            let Some(columns) = *columns else { continue };
            if !out.is_empty() {
                out += &" ".repeat(column.gap);
            }
            let text = cell.fraction.map_or_else(|| cut(&cell.text, columns).into_owned(), |part| bar(part, columns));
            let pad = " ".repeat(columns.saturating_sub(width(&text)));
            let text = style.paint(cell.paint, &text);
            out += &if column.side == Side::Right { pad + &text } else { text + &pad };
        }
        out
    }

    /// How wide each column is; none for those that are left out.
    ///
    /// What doesn't fit first narrows the bars, then what may be cut, and then
    /// costs a column after another. What is left over goes to the bars.
    fn widths(&self, room: usize) -> Vec<Option<usize>> {
        let mut present: Vec<_> = (0..self.columns.len()).map(|index| self.natural(index)).collect();
        let mut widths = loop {
            let mut widths = present.clone();
            let excess = self.total(&widths).saturating_sub(room);
            if self.narrow(&mut widths, excess) == 0 {
                break widths;
            }
            match self.most_expendable(&present).and_then(|place| present.get_mut(place)) {
                Some(width) => *width = None,
                None => break widths,
            }
        };
        let rest = room.saturating_sub(self.total(&widths));
        for (column, width) in self.columns.iter().zip(&mut widths) {
            if let (Side::Bar, Some(width)) = (column.side, width) {
                *width += rest.min(Column::MAX_BAR - Column::MIN_BAR);
            }
        }
        widths
    }

    fn most_expendable(&self, present: &[Option<usize>]) -> Option<usize> {
        let ranks = self.columns.iter().zip(present).map(|(column, width)| width.map_or(0, |_| column.expendable));
        ranks.enumerate().filter(|(_, rank)| *rank > 0).max_by_key(|(_, rank)| *rank).map(|(place, _)| place)
    }

    /// As wide as the longest cell, or as a bar at least is; none when all cells are empty.
    fn natural(&self, index: usize) -> Option<usize> {
        let column = self.columns.get(index)?;
        let cells = || self.rows.iter().filter_map(|row| row.cells.get(index));
        if column.side == Side::Bar {
            return cells().any(|cell| cell.fraction.is_some()).then_some(Column::MIN_BAR);
        }
        let longest = cells().map(|cell| width(&cell.text)).max().filter(|longest| *longest > 0)?;
        Some(longest.max(width(column.title)))
    }

    fn total(&self, widths: &[Option<usize>]) -> usize {
        let present = self.columns.iter().zip(widths).filter_map(|(column, width)| Some((column.gap, (*width)?)));
        present.enumerate().map(|(place, (gap, width))| if place == 0 { width } else { gap + width }).sum()
    }

    /// Takes what doesn't fit off what may be cut; gives back what still doesn't fit.
    fn narrow(&self, widths: &mut [Option<usize>], mut excess: usize) -> usize {
        for (column, width) in self.columns.iter().zip(widths) {
            if let (Some(min), Some(width)) = (column.min, width) {
                let less = width.saturating_sub(min).min(excess);
                *width -= less;
                excess -= less;
            }
        }
        excess
    }
}

impl Column {
    const MIN_BAR: usize = 3;
    const MAX_BAR: usize = 24;

    const fn new(title: &'static str, side: Side) -> Self {
        Self { title, side, gap: 2, min: None, expendable: 0 }
    }

    /// Text.
    pub(crate) const fn left(title: &'static str) -> Self {
        Self::new(title, Side::Left)
    }

    /// Numbers.
    pub(crate) const fn right(title: &'static str) -> Self {
        Self::new(title, Side::Right)
    }

    /// Bars, close to the numbers that they show; the first to go.
    pub(crate) const fn bar() -> Self {
        Self::new("", Side::Bar).close().expendable(u8::MAX)
    }

    /// Next to the column before.
    pub(crate) const fn close(self) -> Self {
        Self { gap: 1, ..self }
    }

    /// May be cut down to so many columns of the terminal.
    pub(crate) const fn at_least(self, min: usize) -> Self {
        Self { min: Some(min), ..self }
    }

    /// May be left out; the highest rank first.
    pub(crate) const fn expendable(self, rank: u8) -> Self {
        Self { expendable: rank, ..self }
    }
}

impl Cell {
    /// Text, which has to be [`visible`].
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A bar that fills so much of its column.
    pub(crate) fn bar(fraction: f64) -> Self {
        Self { fraction: Some(fraction), paint: Paint::Cyan, ..Self::default() }
    }

    /// Nothing, where there is nothing to show.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// The same in a colour.
    pub(crate) fn paint(self, paint: Paint) -> Self {
        Self { paint, ..self }
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or_else(Self::empty, Into::into)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::text(text)
    }
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

/// A bar, to an eighth of a column; what isn't nothing shows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a few hundred")]
#[expect(clippy::cast_precision_loss, reason = "columns of a terminal")]
fn bar(fraction: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (fraction.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let eighths = if fraction > 0.0 { eighths.max(1) } else { 0 };
    "█".repeat(eighths / 8) + PARTS.get(eighths % 8).copied().unwrap_or_default()
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

    const PLAIN: Style = Style { color: false, width: 40 };

    fn table() -> Table {
        let columns = [
            Column::left("name").at_least(6),
            Column::right("ms"),
            Column::bar(),
            Column::right("%").close().expendable(2),
            Column::left("status"),
        ];
        let mut table = Table::new(columns);
        let row = |name: &str, ms: f64, percent: &str, paint| {
            [
                Cell::text(name),
                number(ms).into(),
                Cell::bar(ms / 20.0),
                Cell::text(percent),
                Cell::text("fine").paint(paint),
            ]
        };
        table.push(row("checkout", 20.0, "7 %", Paint::Green));
        table.push(row("頼む", 0.5, "12 %", Paint::Green));
        table
    }

    #[test]
    fn tables_fill_the_terminal() {
        let expected = "\
name       ms                  %  status
checkout   20 █████████████  7 %  fine
頼む      0.5 ▍             12 %  fine
";
        assert_eq!(table().render(PLAIN), expected);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_then_left_out() {
        for (width, titles, row) in [
            (31, "name       ms         %  status", "checkout   20 ████  7 %  fine"),
            (29, "name      ms        %  status", "checko…   20 ███  7 %  fine"),
            (24, "name     ms    %  status", "check…   20  7 %  fine"),
            (20, "name      ms  status", "checko…   20  fine"),
        ] {
            let shown = table().render(Style { color: false, width });
            assert_eq!(shown.lines().take(2).collect::<Vec<_>>(), [titles, row], "{width}");
            assert!(shown.lines().all(|line| super::width(line) <= width), "{width}: {shown}");
        }
    }

    #[test]
    fn notes_are_below_their_row() {
        let mut table = Table::new([Column::left("a")]);
        table.push([Cell::text("x")]);
        table.note("shop:berlin payment:card".to_owned());
        table.push([Cell::text("y")]);
        assert_eq!(table.render(Style { color: false, width: 12 }), "a\nx\n  shop:berl…\ny\n");
    }

    #[test]
    fn columns_without_content_are_left_out() {
        let mut table = Table::new([Column::left("a"), Column::right("b"), Column::bar(), Column::left("c")]);
        table.push([Cell::text("x"), Cell::empty(), Cell::empty(), Cell::text("y")]);
        assert_eq!(table.render(PLAIN), "a  c\nx  y\n");
    }

    #[test]
    fn colours_are_around_text_and_not_around_blanks() {
        let mut table = Table::new([Column::right("ms"), Column::left("status")]);
        table.push([number(7.0).into(), Cell::text("ok").paint(Paint::Green)]);
        assert_eq!(
            table.render(Style { color: true, width: 40 }),
            "\u{1b}[2mms\u{1b}[0m  \u{1b}[2mstatus\u{1b}[0m\n 7  \u{1b}[32mok\u{1b}[0m\n"
        );
    }

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
    fn bars_are_exact_to_an_eighth() {
        for (fraction, expected) in
            [(0.0, ""), (0.001, "▏"), (0.5, "██"), (0.6, "██▍"), (1.0, "████"), (7.0, "████"), (f64::NAN, "")]
        {
            assert_eq!(bar(fraction, 4), expected, "{fraction}");
        }
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
    }
}
