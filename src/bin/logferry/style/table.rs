//! Tables, as wide as the terminal: what doesn't fit is narrowed, cut, and in the end left out.

use super::{Paint, Style, cut, width};

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

    /// Whether there is room for a column.
    pub(crate) fn shows(&self, column: Column, style: Style) -> bool {
        let mut widths = self.columns.iter().zip(self.widths(style.width));
        widths.any(|(there, width)| there.title == column.title && width.is_some())
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

/// A bar, to an eighth of a column; what isn't nothing shows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a few hundred")]
#[expect(clippy::cast_precision_loss, reason = "columns of a terminal")]
fn bar(fraction: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (fraction.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    let eighths = if fraction > 0.0 { eighths.max(1) } else { 0 };
    "█".repeat(eighths / 8) + PARTS.get(eighths % 8).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::number;
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
    fn bars_are_exact_to_an_eighth() {
        for (fraction, expected) in
            [(0.0, ""), (0.001, "▏"), (0.5, "██"), (0.6, "██▍"), (1.0, "████"), (7.0, "████"), (f64::NAN, "")]
        {
            assert_eq!(bar(fraction, 4), expected, "{fraction}");
        }
    }
}
