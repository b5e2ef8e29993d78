#[derive(Default)]
pub(crate) struct Summary;
impl logferry::model::Sink for Summary {
    fn log(&mut self, _: &logferry::model::Origin, _: &logferry::model::Log<'_>) {}
    fn metric(&mut self, _: &logferry::model::Origin, _: &logferry::model::Metric<'_>) {}
}
impl Summary {
    pub(crate) fn render(&self, _: crate::style::Style) -> String {
        String::new()
    }
}
