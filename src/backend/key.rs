/// Adds a text to a key, so that no two lists of texts have the same key.
pub(super) fn part(text: &str, key: &mut Vec<u8>) {
    key.extend_from_slice(&text.len().to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}
