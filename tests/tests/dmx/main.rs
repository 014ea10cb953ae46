//! DMX over the network: Art-Net and sACN between the show and its peers, on networks of the tests'
//! own.

mod artnet;
mod artnet_faults;
mod examples;
mod faults;
mod interfaces;
mod peers;
mod restarts;
mod rig;
mod sacn;
mod sacn_in;
mod sacn_out;
mod show;
