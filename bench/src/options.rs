//! What a run is asked to compare: `[--quick] [--rounds N] [--peer NAME]... [--only TEXT]`.

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Less of everything.
    pub(crate) quick: bool,
    /// How often each workload is run, if not as usual.
    pub(crate) rounds: Option<usize>,
    /// The peers that are wanted; all if none is named.
    peers: Vec<String>,
    /// Only workloads whose name has this in it.
    only: Option<String>,
}

impl Options {
    /// None if the arguments cannot be understood.
    pub(crate) fn parse(arguments: &[&str]) -> Option<Self> {
        let mut options = Options::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--quick" => options.quick = true,
                "--rounds" => options.rounds = Some(arguments.next()?.parse().ok()?),
                "--only" => options.only = Some((*arguments.next()?).to_owned()),
                "--peer" => options.peers.push((*arguments.next()?).to_owned()),
                _ => return None,
            }
        }
        Some(options)
    }

    /// Whether a peer is to be measured.
    pub(crate) fn wants(&self, peer: &str) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|wanted| peer.starts_with(wanted.as_str()))
    }

    /// Whether a workload is to be run.
    pub(crate) fn asks_for(&self, workload: &str) -> bool {
        self.only.as_ref().is_none_or(|only| workload.contains(only.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_named_by_their_beginning_and_workloads_by_a_part() {
        let options = Options::parse(&["--quick", "--peer", "martin", "--only", "land"]).unwrap();
        assert!(options.quick);
        assert!(options.wants("martin 1.14.0") && !options.wants("tippecanoe 2.72.0"));
        assert!(options.asks_for("build land1km to zoom 8") && !options.asks_for("build cities"));
        assert!(Options::default().wants("anybody") && Options::default().asks_for("anything"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(Options::parse(&["--quik"]).is_none());
        assert!(Options::parse(&["--rounds", "many"]).is_none());
        assert!(Options::parse(&["--peer"]).is_none());
    }
}
