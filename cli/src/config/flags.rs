//! Flags, and the short names that some keys have.

use super::Level;
use clap::Args;
use std::path::PathBuf;
use toml::{Table, Value};

/// Settings as flags. What is not given is taken from the environment, the file, or the defaults.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    /// The file with the settings (`watersmeet config print --default` shows all).
    #[arg(long, env = "WATERSMEET_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Any setting, such as `limits.connections=500`. Can be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// The address to listen at [default: 127.0.0.1:8080]. Port 0 takes any that is free.
    #[arg(long)]
    listen: Option<String>,
    /// The folder that holds the documents [default: watersmeet-data].
    #[arg(long)]
    data: Option<String>,
    /// The folder that holds tile archives (`NAME.pmtiles`); none are served without it.
    #[arg(long)]
    tiles: Option<String>,
    /// The folder that holds the web app; none is served without it.
    #[arg(long)]
    web: Option<String>,
    /// The URL that browsers reach this server by, if it is not the one it listens at.
    #[arg(long)]
    public_url: Option<String>,
    /// Below which path everything is served, such as `/maps`.
    #[arg(long)]
    path_prefix: Option<String>,
    /// A website whose pages may sync with this server, such as `https://maps.example`, besides those that it serves
    /// itself; * for all. Can be given several times.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// A file with a key by which tokens are believed, as `watersmeet token key` writes it. Can be given several times.
    #[arg(long, value_name = "FILE", value_delimiter = ',', conflicts_with = "open")]
    key: Vec<String>,
    /// Let everybody do everything, without tokens. For one's own machine.
    #[arg(long)]
    open: bool,
    /// How to log: human or json [default: human].
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    #[arg(skip)]
    log: Option<Level>,
}

/// Keys with a short name in the environment: `WATERSMEET_` and this.
pub(super) const SHORT: [(&str, &str); 11] = [
    ("LISTEN", "server.listen"),
    ("DATA", "server.data"),
    ("TILES", "server.tiles"),
    ("WEB", "server.web"),
    ("PUBLIC_URL", "server.public_url"),
    ("PATH_PREFIX", "server.path_prefix"),
    ("ALLOW_ORIGIN", "server.allow_origin"),
    ("KEY", "access.keys"),
    ("OPEN", "access.open"),
    ("LOG", "log.level"),
    ("LOG_FORMAT", "log.format"),
];

impl Flags {
    /// A file, and nothing else.
    pub(crate) fn of_file(config: Option<PathBuf>) -> Self {
        Flags { config, ..Flags::default() }
    }

    /// With the flag `--log`, which all commands have.
    pub(crate) fn with_level(self, level: Option<Level>) -> Self {
        Flags { log: level, ..self }
    }

    /// The keys that have a flag of their own, and were given: flag, key and value.
    pub(super) fn named(&self) -> Vec<(&'static str, &'static str, Value)> {
        let texts = [
            ("--listen", "server.listen", &self.listen),
            ("--data", "server.data", &self.data),
            ("--tiles", "server.tiles", &self.tiles),
            ("--web", "server.web", &self.web),
            ("--public-url", "server.public_url", &self.public_url),
            ("--path-prefix", "server.path_prefix", &self.path_prefix),
            ("--log-format", "log.format", &self.log_format),
        ];
        let texts = texts.into_iter().filter_map(|(flag, key, text)| {
            text.as_ref().map(|text| (flag, key, Value::String(text.clone())))
        });
        let level = self.log.map(|level| ("--log", "log.level", Value::String(level.name().to_owned())));
        let origins = list(&self.allow_origin).map(|list| ("--allow-origin", "server.allow_origin", list));
        let keys = (!self.key.is_empty()).then(|| ("--key", "access.keys", key_files(&self.key)));
        let open = self.open.then_some(("--open", "access.open", Value::Boolean(true)));
        texts.chain(level).chain(origins).chain(keys).chain(open).collect()
    }
}

fn list(texts: &[String]) -> Option<Value> {
    (!texts.is_empty()).then(|| Value::Array(texts.iter().cloned().map(Value::String).collect()))
}

/// Keys that are files, as `[access] keys` has them.
pub(super) fn key_files<T: ToString>(files: &[T]) -> Value {
    let key = |file: &T| Table::from_iter([("file".to_owned(), Value::String(file.to_string()))]);
    Value::Array(files.iter().map(|file| Value::Table(key(file))).collect())
}
