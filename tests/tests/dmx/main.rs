//! DMX over the network: Art-Net and sACN between the show and its peers, on networks of the tests'
//! own.

mod artnet_faults;
mod rig;
mod sacn;
