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
    let config = Config::load_beside(&args.common)?;
    let tokens = Tokens::new(&TOKEN_SECRET.load(&config.storage.data_dir)?, config.token_parties());
    println!("{}", tokens.sign(&args.user, args.channel.as_deref(), Duration::from_secs(args.ttl))?);
    Ok(())
}
