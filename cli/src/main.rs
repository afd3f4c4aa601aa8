//! The one binary: `watersmeet serve`, `watersmeet config`, `watersmeet token`, `watersmeet tiles build`, `watersmeet tiles show`.
//!
//! It maps arguments and environment to the libraries and holds no logic of its own.

mod check;
mod config;
mod log;
mod maps;
mod say;
mod serve;
mod store;
mod tiles;
mod token;
mod web;

use clap::{Parser, Subcommand};
use config::Level;
use std::process::ExitCode;

/// Maps that people edit together, that keep working without a network, and that cost next to nothing to serve.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// How much to log to stderr: error, warn, info, debug or trace.
    #[arg(long, global = true, value_enum)]
    log: Option<Level>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve documents, tiles and the web app.
    Serve(serve::Serve),
    /// Check the configuration, and say what counts.
    #[command(subcommand)]
    Config(check::Check),
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
    let result = match arguments.command {
        Command::Serve(serve) => serve.run(arguments.log),
        Command::Config(check) => check.run(arguments.log),
        Command::Token(token) => log::plainly(arguments.log).and_then(|()| token.run()),
        Command::Store(store) => log::plainly(arguments.log).and_then(|()| store.run()),
        Command::Tiles(tiles) => log::plainly(arguments.log).and_then(|()| tiles.run()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::tell_failure(error.as_ref());
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
