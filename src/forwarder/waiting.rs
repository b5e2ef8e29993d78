//! What is in the store: listed and read, without sending any of it.

use super::{Forwarder, Note};
use crate::backend::Backend;
use crate::delivery::Transport;
use crate::event::Redrive;
use crate::parcel::{Parcel, ParcelError};
use crate::store::{Shelf, Store, StoreError, folder_of};

/// Folders of backends which the settings no longer name that are reported at most.
const MAX_STRANGERS: usize = 10;

/// Stored requests of such a backend that are counted at most.
pub const MAX_COUNTED: usize = 10_000;

impl<T: Transport> Forwarder<T> {
    /// What a redrive with this wish would look at, backend by backend, the oldest first: each key with its request, or
    /// why that can't be read.
    ///
    /// # Errors
    ///
    /// When the store can't be read.
    pub async fn stored(&self, wish: &Redrive) -> Result<Vec<(String, Result<Parcel, ParcelError>)>, StoreError> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for backend in &self.backends {
            let wanted = self.wanted(wish).saturating_sub(found.len());
            for key in keys(store, wish, backend.name(), "", wanted).await? {
                if let Some(json) = store.get(&key).await? {
                    found.push((key, Parcel::from_json(&json)));
                }
            }
        }
        Ok(found)
    }

    /// A note when the wish is for a backend that the settings don't name.
    pub fn unknown(&self, wish: &Redrive) -> Option<Note> {
        let name = wish.backend.clone()?;
        let names: Vec<_> = self.backends.iter().map(Backend::name).collect();
        (!names.contains(&name.as_str())).then(|| Note::NoBackend { name, names: names.join(", ") })
    }

    /// Folders with requests for backends that the settings no longer name, and how many each holds: counted up to
    /// [`MAX_COUNTED`].
    ///
    /// # Errors
    ///
    /// When the store can't be read.
    pub async fn stranded(&self, wish: &Redrive) -> Result<Vec<(String, usize)>, StoreError> {
        let (Some(store), None) = (&self.store, &wish.backend) else { return Ok(Vec::new()) };
        let mut stranded = Vec::new();
        for folder in self.strangers(store, shelf(wish).name()).await? {
            let count = store.list(&format!("{folder}/"), "", MAX_COUNTED).await?.len();
            stranded.push((folder, count));
        }
        Ok(stranded)
    }

    /// Folders of backends that the settings no longer name: no redrive would ever touch them.
    pub(super) async fn strangers(&self, store: &Store, on: &str) -> Result<Vec<String>, StoreError> {
        let (mut folders, mut after) = (Vec::new(), String::new());
        while folders.len() < MAX_STRANGERS
            && let Some(key) = store.list(&format!("{on}/"), &after, 1).await?.pop()
        {
            let folder = key.split('/').nth(1).unwrap_or_default();
            if !self.backends.iter().any(|backend| folder_of(backend.name()) == folder) {
                folders.push(format!("{on}/{folder}"));
            }
            // `~` sorts behind everything that a key has there.
            after = format!("{on}/{folder}/~");
        }
        Ok(folders)
    }

    /// How many requests may be tried: what the wish says, else what the settings allow.
    pub(super) fn wanted(&self, wish: &Redrive) -> usize {
        wish.max.unwrap_or(self.sending.redrive_max)
    }
}

/// Keys of a wish for one backend, at most `max` of those that sort after `after`.
pub(super) async fn keys(
    store: &Store,
    wish: &Redrive,
    name: &str,
    after: &str,
    max: usize,
) -> Result<Vec<String>, StoreError> {
    if wish.backend.as_ref().is_some_and(|wanted| wanted != name) {
        return Ok(Vec::new());
    }
    let within = wish.prefix.as_deref().unwrap_or_default();
    store.list(&format!("{}/{}/{within}", shelf(wish).name(), folder_of(name)), after, max).await
}

/// The shelf that a wish is about.
pub(super) const fn shelf(wish: &Redrive) -> Shelf {
    if wish.set_aside { Shelf::SetAside } else { Shelf::Pending }
}
