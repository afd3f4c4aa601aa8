//! The floor's wire and disk form: numbers of seven bits a byte, columns of them run-length coded, and rows of versions
//! written column by column.

use super::{Slot, Val, Version, key_of};

pub(super) fn put(o: &mut Vec<u8>, mut v: u64) {
    while v >= 128 {
        o.push(v as u8 | 128);
        v >>= 7;
    }
    o.push(v as u8);
}

fn zig(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

fn zag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    #[inline]
    pub(super) fn get(&mut self) -> u64 {
        let (mut v, mut s) = (0u64, 0);
        loop {
            let b = self.0[0];
            self.0 = &self.0[1..];
            v |= ((b & 127) as u64) << s;
            if b < 128 {
                return v;
            }
            s += 7;
        }
    }
    pub(super) fn take(&mut self, n: usize) -> &'a [u8] {
        let (a, b) = self.0.split_at(n);
        self.0 = b;
        a
    }
    /// A replica's id.
    pub(super) fn actor(&mut self) -> u64 {
        let mut id = [0; 8];
        id.copy_from_slice(self.take(8));
        u64::from_le_bytes(id)
    }
    fn column(&mut self) -> In<'a> {
        let n = self.get() as usize;
        In(self.take(n))
    }
}

/// Run-length coded column of small numbers.
#[derive(Default)]
struct Rle {
    out: Vec<u8>,
    last: u64,
    run: u64,
}

impl Rle {
    #[inline]
    fn push(&mut self, v: u64) {
        if self.run > 0 && v == self.last {
            self.run += 1;
        } else {
            self.flush();
            self.last = v;
            self.run = 1;
        }
    }
    fn flush(&mut self) {
        if self.run > 0 {
            put(&mut self.out, self.last);
            put(&mut self.out, self.run);
        }
        self.run = 0;
    }
}

struct RleIn<'a> {
    src: In<'a>,
    last: u64,
    run: u64,
}

impl<'a> RleIn<'a> {
    fn new(src: In<'a>) -> Self {
        RleIn { src, last: 0, run: 0 }
    }
    #[inline]
    fn get(&mut self) -> u64 {
        if self.run == 0 {
            self.last = self.src.get();
            self.run = self.src.get();
        }
        self.run -= 1;
        self.last
    }
}

#[derive(Default)]
pub(super) struct Rows {
    n: u64,
    actor: Rle,
    ctr: Rle,
    lamport: Rle,
    shared: Rle,
    suffix: Rle,
    len: Rle,
    key_bytes: Vec<u8>,
    val_bytes: Vec<u8>,
    last_key: (usize, usize),
    last: [i64; 2],
}

impl Rows {
    pub(super) fn push(&mut self, keys: &[u8], s: &Slot, v: &Version) {
        self.n += 1;
        self.actor.push(v.actor as u64);
        self.ctr.push(zig(v.ctr as i64 - self.last[0]));
        let skew = v.lamport as i64 - v.ctr as i64;
        self.lamport.push(zig(skew - self.last[1]));
        self.last = [v.ctr as i64, skew];
        let key = key_of(keys, s);
        let prev = &keys[self.last_key.0..][..self.last_key.1];
        let shared = key.iter().zip(prev).take_while(|(a, b)| a == b).count();
        // A chance match of a random byte would only break the run.
        let shared = if shared < 3 && shared != key.len() { shared.min(1) } else { shared };
        self.shared.push(shared as u64);
        self.suffix.push((key.len() - shared) as u64);
        self.key_bytes.extend_from_slice(&key[shared..]);
        self.last_key = (s.key_at as usize, key.len());
        match v.val.get() {
            None => self.len.push(0),
            Some(b) => {
                self.len.push(b.len() as u64 + 1);
                self.val_bytes.extend_from_slice(b);
            }
        }
    }

    pub(super) fn finish(mut self, o: &mut Vec<u8>) {
        put(o, self.n);
        for r in [
            &mut self.actor,
            &mut self.ctr,
            &mut self.lamport,
            &mut self.shared,
            &mut self.suffix,
            &mut self.len,
        ] {
            r.flush();
            put(o, r.out.len() as u64);
            o.extend_from_slice(&r.out);
        }
        for b in [&self.key_bytes, &self.val_bytes] {
            put(o, b.len() as u64);
            o.extend_from_slice(b);
        }
    }

    /// The replicas that rows were written of, by our index, in order.
    pub(super) fn actors(&self) -> Vec<u64> {
        let (coded, mut actors) = (&mut In(&self.actor.out), vec![self.actor.last]);
        while !coded.0.is_empty() {
            actors.push(coded.get());
            coded.get();
        }
        actors.sort_unstable();
        actors.dedup();
        actors
    }
}

/// Rows as they are read again.
pub(super) struct RowsIn<'a> {
    pub(super) n: u64,
    actor: RleIn<'a>,
    ctr: RleIn<'a>,
    lamport: RleIn<'a>,
    shared: RleIn<'a>,
    suffix: RleIn<'a>,
    len: RleIn<'a>,
    key_bytes: In<'a>,
    val_bytes: In<'a>,
    /// The key of the latest row.
    pub(super) key: Vec<u8>,
    last: [i64; 2],
}

impl<'a> RowsIn<'a> {
    pub(super) fn new(src: &mut In<'a>) -> Self {
        let n = src.get();
        let [actor, ctr, lamport, shared, suffix, len] = std::array::from_fn(|_| RleIn::new(src.column()));
        let (key_bytes, val_bytes) = (src.column(), src.column());
        RowsIn {
            n,
            actor,
            ctr,
            lamport,
            shared,
            suffix,
            len,
            key_bytes,
            val_bytes,
            key: Vec::new(),
            last: [0; 2],
        }
    }

    pub(super) fn key_bytes_left(&self) -> usize {
        self.key_bytes.0.len()
    }

    /// Goes to the next row's key; whether it is another than before.
    #[inline]
    pub(super) fn next_key(&mut self, first: bool) -> bool {
        let shared = self.shared.get() as usize;
        let suffix = self.suffix.get() as usize;
        if !first && suffix == 0 && shared == self.key.len() {
            return false;
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(self.key_bytes.take(suffix));
        true
    }

    /// The version in that row; its replica is the sender's index.
    #[inline]
    pub(super) fn version(&mut self) -> (u64, Version) {
        let ctr = zag(self.ctr.get()) + self.last[0];
        let skew = zag(self.lamport.get()) + self.last[1];
        self.last = [ctr, skew];
        let val = match self.len.get() {
            0 => Val::Tomb,
            len => Val::new(self.val_bytes.take(len as usize - 1)),
        };
        (self.actor.get(), Version { actor: 0, ctr: ctr as u32, lamport: (skew + ctr) as u32, val })
    }
}
