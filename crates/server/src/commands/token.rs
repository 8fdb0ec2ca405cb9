//! `tidings token`: prints a client token, and nothing else, so that a script can use it.

use crate::cli::TokenArgs;
use crate::config::Config;
use crate::secrets::TOKEN_SECRET;
use crate::tokens::Tokens;
use anyhow::ensure;
use std::time::Duration;

pub(crate) fn run(args: &TokenArgs) -> anyhow::Result<()> {
    ensure!(args.ttl > 0, "--ttl must be at least 1 second");
    ensure!(!args.user.is_empty(), "--user must not be empty");
    let tokens = Tokens::new(&TOKEN_SECRET.load(&Config::load_data_dir(&args.common)?)?);
    println!("{}", tokens.sign(&args.user, args.channel.clone(), Duration::from_secs(args.ttl))?);
    Ok(())
}
