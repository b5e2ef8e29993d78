#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) color: bool,
    pub(crate) width: usize,
}
impl Style {
    pub(crate) fn of_stdout(no_color: bool) -> Self {
        Self { color: !no_color, width: 80 }
    }
}
