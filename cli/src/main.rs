//! The one binary: `watersmeet serve`, `watersmeet token`, `watersmeet tiles build`, `watersmeet tiles show`.
//!
//! It maps arguments and environment to the libraries and holds no logic of its own.

mod serve;
mod store;
mod tiles;
mod token;
mod web;

use clap::{Parser, Subcommand};
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::filter::LevelFilter;

/// Maps that people edit together, that keep working without a network, and that cost next to nothing to serve.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// How much to log to stderr: error, warn, info, debug or trace.
    #[arg(long, global = true, env = "WATERSMEET_LOG", default_value = "info")]
    log: LevelFilter,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve documents, tiles and the web app.
    Serve(serve::Serve),
    /// Make tokens, which say who may do what, and keys to sign them with.
    Token(token::Token),
    /// Check, back up and restore documents.
    #[command(subcommand)]
    Store(store::Store),
    /// Build tile archives, and look into them.
    #[command(subcommand)]
    Tiles(tiles::Tiles),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_max_level(arguments.log)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let result = match arguments.command {
        Command::Serve(serve) => serve.run(),
        Command::Token(token) => token.run(),
        Command::Store(store) => store.run(),
        Command::Tiles(tiles) => tiles.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }
}
