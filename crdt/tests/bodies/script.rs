//! How a string of bytes is a whole conversation: frames of any bytes, and between them time that passes and things
//! that the shell does. Every string of bytes is a script, and a small change of it is mostly a small change of what
//! happens.
//!
//! ```text
//!   00..bf, n, bytes   a frame; the first two bytes are its length, or more than are left
//!   c0..df             time passes: the low five bits, squared, in hundreds of milliseconds
//!   e0..ff             the shell does something: which, the low five bits say
//! ```

/// A conversation is over after so many; more of them find little more, slowly.
const STEPS_MAX: usize = 100;

/// What happens next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// These bytes come in.
    Frame(&'a [u8]),
    /// So many milliseconds pass.
    Pass(u64),
    /// The shell does something.
    Act(u8),
}

/// The steps of a script.
pub(super) fn steps(mut data: &[u8]) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let (&first, rest) = data.split_first()?;
        data = rest;
        match first {
            0..0xc0 => {
                let (&low, rest) = data.split_first()?;
                let length = usize::from(first) << 8 | usize::from(low);
                let (frame, rest) = rest.split_at(length.min(rest.len()));
                data = rest;
                Some(Step::Frame(frame))
            }
            0xc0..0xe0 => Some(Step::Pass(u64::from(first & 0x1f).pow(2) * 100)),
            _ => Some(Step::Act(first & 0x1f)),
        }
    })
    .take(STEPS_MAX)
}

/// The bytes of a script.
pub(super) fn write<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Frame(bytes) => {
                let [high, low] = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                assert!(high < 0xc0, "a frame too long for a script");
                out.extend([high, low]);
                out.extend(bytes);
            }
            Step::Pass(millis) => {
                let root = (0..31u8).find(|root| u64::from(*root).pow(2) * 100 >= millis).unwrap_or(31);
                out.push(0xc0 | root);
            }
            Step::Act(what) => out.push(0xe0 | what & 0x1f),
        }
    }
    out
}
