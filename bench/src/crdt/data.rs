//! Deterministic input data. Nothing here is measured.

pub(crate) use crate::rng::Rng;

const B62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `len` random base-62 characters, like a nanoid.
pub fn word(rng: &mut Rng, len: usize) -> String {
    (0..len).map(|_| B62[rng.below(62)] as char).collect()
}

/// `n` distinct 16-byte keys (95 bits of entropy each: 11.9 incompressible bytes).
pub fn keys(seed: u64, n: usize) -> Vec<String> {
    let mut rng = Rng::new(seed);
    let v: Vec<String> = (0..n).map(|_| word(&mut rng, 16)).collect();
    debug_assert_eq!(v.iter().collect::<std::collections::HashSet<_>>().len(), n);
    v
}

pub struct FeatureData {
    pub id: String,
    pub name: String,
    pub geometry: Vec<u8>,
    pub tags: [String; 3],
    pub votes: u32,
}

/// A WKB LineString of 7 points near Berlin: 121 bytes.
pub fn geometry(rng: &mut Rng) -> Vec<u8> {
    let mut g = Vec::with_capacity(121);
    g.push(1);
    g.extend(2u32.to_le_bytes());
    g.extend(7u32.to_le_bytes());
    let (mut x, mut y) = (13.1 + 0.6 * rng.f64(), 52.35 + 0.3 * rng.f64());
    for _ in 0..7 {
        g.extend(x.to_le_bytes());
        g.extend(y.to_le_bytes());
        x += (rng.f64() - 0.5) * 1e-3;
        y += (rng.f64() - 0.5) * 1e-3;
    }
    g
}

pub fn features(seed: u64, n: usize) -> Vec<FeatureData> {
    const STREET: [&str; 8] = ["Linden", "Berg", "Garten", "Haupt", "Kirch", "Mühlen", "Park", "Wald"];
    const KEY: [&str; 6] = ["highway", "surface", "lit", "cycleway", "bridge", "maxspeed"];
    const VAL: [&str; 8] = ["residential", "asphalt", "yes", "no", "track", "30", "50", "paving_stones"];
    let mut rng = Rng::new(seed);
    (0..n)
        .map(|_| {
            let id = word(&mut rng, 16);
            let name = format!("{}straße {}", STREET[rng.below(8)], 1 + rng.below(200));
            let geometry = geometry(&mut rng);
            let mut t = [0usize; 3];
            t[0] = rng.below(48);
            t[1] = (t[0] + 1 + rng.below(23)) % 48;
            t[2] = (t[1] + 1 + rng.below(23)) % 48;
            let tags = t.map(|i| format!("{}={}", KEY[i % 6], VAL[i / 6]));
            FeatureData { id, name, geometry, tags, votes: rng.below(100) as u32 + 1 }
        })
        .collect()
}
