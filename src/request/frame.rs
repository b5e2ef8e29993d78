use std::borrow::Cow;

/// What stands before, between and behind items.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// Length-delimited fields of protobuf messages around the items, the
    /// outermost first. Items are whole fields, so nothing stands between them.
    Protobuf(Vec<Wrapper>),
    /// Pieces of text.
    Text {
        /// Before the first.
        open: Cow<'static, [u8]>,
        /// Between two.
        separator: Cow<'static, [u8]>,
        /// Behind the last.
        close: Cow<'static, [u8]>,
    },
}

/// A message that holds what is wrapped in it as its last fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wrapper {
    /// Number of the field that holds the message; 0 for the body itself, which no field holds.
    pub field: u32,
    /// The fields of the message before what is wrapped.
    pub before: Vec<u8>,
}

impl Frame {
    /// Text around items.
    pub const fn text(open: &'static [u8], separator: &'static [u8], close: &'static [u8]) -> Self {
        Self::Text { open: Cow::Borrowed(open), separator: Cow::Borrowed(separator), close: Cow::Borrowed(close) }
    }

    /// What stands before the first of items that take `inside` bytes.
    pub fn open(&self, inside: usize) -> Cow<'_, [u8]> {
        match self {
            Self::Text { open, .. } => Cow::Borrowed(open),
            Self::Protobuf(wrappers) => {
                let mut heads = Vec::with_capacity(wrappers.len());
                let mut len = inside;
                for wrapper in wrappers.iter().rev() {
                    let mut head = Vec::with_capacity(wrapper.before.len() + 12);
                    if wrapper.field > 0 {
                        varint(u64::from(wrapper.field) << 3 | 2, &mut head);
                        varint((wrapper.before.len() + len) as u64, &mut head);
                    }
                    head.extend_from_slice(&wrapper.before);
                    len += head.len();
                    heads.push(head);
                }
                heads.reverse();
                Cow::Owned(heads.concat())
            }
        }
    }

    /// What stands between two items.
    pub fn separator(&self) -> &[u8] {
        match self {
            Self::Text { separator, .. } => separator,
            Self::Protobuf(_) => b"",
        }
    }

    /// What stands behind the last.
    pub fn close(&self) -> &[u8] {
        match self {
            Self::Text { close, .. } => close,
            Self::Protobuf(_) => b"",
        }
    }

    /// Bytes of what stands before and behind `inside` bytes of items.
    pub fn overhead(&self, inside: usize) -> usize {
        match self {
            Self::Text { open, close, .. } => open.len() + close.len(),
            Self::Protobuf(wrappers) => wrappers.iter().rev().fold(0, |len, Wrapper { field, before }| {
                let key = u64::from(*field) << 3 | 2;
                let message = (len + inside + before.len()) as u64;
                len + before.len() + if *field > 0 { varint_len(key) + varint_len(message) } else { 0 }
            }),
        }
    }
}

/// Appends a number as protobuf writes it: seven bits a byte, the lowest first.
///
/// Source: <https://protobuf.dev/programming-guides/encoding/#varints>
#[expect(clippy::cast_possible_truncation, reason = "seven bits")]
pub fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Bytes of a number as protobuf writes it.
const fn varint_len(number: u64) -> usize {
    match number.checked_ilog2() {
        Some(bits) => bits as usize / 7 + 1,
        None => 1,
    }
}
