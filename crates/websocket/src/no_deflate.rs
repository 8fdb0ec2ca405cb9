//! Stands in for compression when the crate is built without it: a type of which there is no value.

use crate::ProtocolError;
use bytes::Bytes;

#[derive(Debug)]
pub(crate) enum Deflate {}

impl Deflate {
    pub(crate) fn gains(&self, _: usize) -> bool {
        match *self {}
    }

    pub(crate) fn keeps_window(&self) -> bool {
        match *self {}
    }

    pub(crate) fn compress(&mut self, _: &[u8], _: bool) -> Vec<u8> {
        match *self {}
    }

    pub(crate) fn prepared(&self, _: &crate::Prepared) -> Option<Bytes> {
        match *self {}
    }

    pub(crate) fn takes_deflated(&self) -> bool {
        match *self {}
    }

    pub(crate) fn inflate(&mut self, _: &[u8], _: &mut Vec<u8>, _: usize) -> Result<(), ProtocolError> {
        match *self {}
    }

    pub(crate) fn finish_inflating(&mut self, _: &mut Vec<u8>, _: usize) -> Result<(), ProtocolError> {
        match *self {}
    }
}
