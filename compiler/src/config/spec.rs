/// The spec version of every config nkd writes: the newest that Ignition 2.14, NestOS's oldest,
/// reads.
pub(crate) const SPEC: &str = "3.3.0";
/// The minor number of `SPEC`.
pub const SPEC_MINOR: u8 = 3;
