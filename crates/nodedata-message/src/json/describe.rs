/// What is known of a value before any row is decoded: from a JSON schema, or from all messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) kind: Kind,
    /// Whether it may be null or left out.
    pub(crate) nullable: bool,
    pub(crate) description: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Scalar(Scalar),
    /// The same number of scalars in every message, one or more dimensions.
    Fixed {
        scalar: Scalar,
        dims: Vec<u32>,
    },
    List(Box<Described>),
    Object {
        members: Vec<DescribedMember>,
        unknown: UnknownKeys,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DescribedMember {
    pub(crate) key: String,
    /// Whether leaving it out is an error where the object is there.
    pub(crate) required: bool,
    pub(crate) value: Described,
}

/// What happens to keys an object's schema does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnknownKeys {
    /// They are kept as JSON text in the column `_extra`.
    Kept,
    /// They are an error.
    Refused,
}

/// One value of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    Int64,
    UInt64,
    Float64,
    String,
    /// Base64 text, a CBOR byte string, or a list of numbers from 0 to 255.
    Bytes,
    /// An object `{sec, nsec}`, as nanoseconds.
    Nanos,
    /// Anything, as compact JSON text.
    JsonText,
    /// Text that refers to a medium: the medium.
    Media,
}

impl Described {
    pub(crate) fn scalar(scalar: Scalar) -> Self {
        Kind::Scalar(scalar).into()
    }

    /// Lets every value be absent, and every object have keys that are not described.
    pub(crate) fn loosen(&mut self) {
        self.nullable = true;
        match &mut self.kind {
            Kind::Scalar(_) | Kind::Fixed { .. } => {}
            Kind::List(item) => item.loosen(),
            Kind::Object { members, unknown } => {
                *unknown = UnknownKeys::Kept;
                for member in members {
                    member.required = false;
                    member.value.loosen();
                }
            }
        }
    }

    /// Columns the value becomes.
    pub(crate) fn n_leaves(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) | Kind::Fixed { .. } => 1,
            Kind::List(item) => item.n_leaves(),
            Kind::Object { members, .. } => members.iter().map(|it| it.value.n_leaves()).sum(),
        }
    }
}

impl From<Kind> for Described {
    fn from(kind: Kind) -> Self {
        Self { kind, nullable: false, description: None }
    }
}
