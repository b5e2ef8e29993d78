use crate::model::Origin;

/// What an encoder makes once for an origin, and anew when that changes.
pub(super) struct PerOrigin<T> {
    /// Generation of the origin that it was made for, and what was made.
    made: Option<(u32, T)>,
}

impl<T> PerOrigin<T> {
    /// What belongs to an origin; `make` makes it, unless it was made for the same one last.
    pub(super) fn get(&mut self, origin: &Origin, make: impl FnOnce() -> T) -> &T {
        if self.made.as_ref().is_some_and(|(generation, _)| *generation != origin.generation) {
            self.made = None;
        }
        &self.made.get_or_insert_with(|| (origin.generation, make())).1
    }
}

impl<T> Default for PerOrigin<T> {
    fn default() -> Self {
        Self { made: None }
    }
}
