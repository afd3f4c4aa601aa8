//! Writes valid inputs for every target: `seeds FOLDER` fills `FOLDER/TARGET`.

use std::path::Path;
use watersmeet_tiles_fuzz::bodies::BODIES;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "corpus".to_owned());
    for body in BODIES {
        let folder = Path::new(&folder).join(body.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (body.seeds)().into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
