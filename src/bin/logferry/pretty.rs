#[derive(Default)]
pub(crate) struct Pretty;
impl logferry::model::Sink for Pretty {
    fn log(&mut self, _: &logferry::model::Origin, _: &logferry::model::Log<'_>) {}
    fn metric(&mut self, _: &logferry::model::Origin, _: &logferry::model::Metric<'_>) {}
}
impl Pretty {
    pub(crate) fn render(&self, _: crate::style::Style) -> String {
        String::new()
    }
}
