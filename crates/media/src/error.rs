//! What can be wrong with a decoder configuration.

/// A decoder configuration cannot be read. The sender is at fault; the track cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It ends before what it declares.
    #[error("{what} ends too early, at bit {bit}")]
    Truncated {
        /// The structure that was being read.
        what: &'static str,
        /// Where in that structure the bits ran out.
        bit: usize,
    },
    /// Its version is not one that the standard defines.
    #[error("{what} has version {got}, only {expected} is defined")]
    Version {
        /// The structure.
        what: &'static str,
        /// What it says.
        got: u8,
        /// What it must say.
        expected: u8,
    },
    /// A field has a value outside its range.
    #[error("{what} has {field} = {got}, which is out of range")]
    OutOfRange {
        /// The structure.
        what: &'static str,
        /// The field, spelled as in its standard.
        field: &'static str,
        /// What it says.
        got: u64,
    },
    /// A parameter set that decoding needs is not in it.
    #[error("{what} holds no {parameter_set}")]
    Missing {
        /// The structure.
        what: &'static str,
        /// The parameter set, spelled as in its standard.
        parameter_set: &'static str,
    },
}
