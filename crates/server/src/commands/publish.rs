//! `tidings publish`: puts one JSON value into a channel of a running server, through the server API.

use crate::cli::PublishArgs;
use crate::config::Config;
use crate::secrets::API_KEY;
use anyhow::Context;
use std::io::Read;
use tidings_client::{PublishOptions, ServerApi};
use tidings_protocol::Payload;

pub(crate) async fn run(args: PublishArgs) -> anyhow::Result<()> {
    let config = Config::load_beside(&args.remote.common)?;
    let server = args.remote.server.unwrap_or_else(|| config.server_url());
    let api = ServerApi::new(&server, API_KEY.load(&config.storage.data_dir, config.secret_bytes_min())?)?;
    let data = Payload::parse(text(args.data)?.as_bytes())
        .context("the data must be one JSON value; a text needs its quotes, such as '\"hello\"'")?;
    let position = api
        .publish(&args.channel, data, PublishOptions::default())
        .await
        .with_context(|| format!("publishing into {} at {}", args.channel, server))?;
    if !position.epoch.is_empty() {
        println!("offset {} epoch {}", position.offset, position.epoch);
    }
    Ok(())
}

fn text(argument: String) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
    Ok(text)
}
