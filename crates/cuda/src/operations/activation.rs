//! GELU, and GRN of it.

use super::sums::{Chunks, sum_parts};
use super::{block_each, of, packs, read, threads, write};
use crate::work::{Element, Record, Values, int, long};

/// GELU of `x` to `out`.
pub fn gelu(record: &mut dyn Record, x: &Values, out: &Values) {
    let arguments = vec![read(x), write(out), long(x.len())];
    record.push(threads(of("gelu_forward", x.element()), packs(x, x.len()), arguments));
}

/// The gradient by `x`, from that by the result.
pub fn gelu_backward(record: &mut dyn Record, x: &Values, gradient: &Values, by_x: &Values) {
    let arguments = vec![read(x), read(gradient), write(by_x), long(x.len())];
    record.push(threads(of("gelu_backward", x.element()), packs(x, x.len()), arguments));
}

/// The weights of GRN and what it is computed on.
#[derive(Clone, Debug)]
pub struct Grn {
    /// `[H]`
    pub gamma: Values,
    /// `[H]`
    pub beta: Values,
    /// Images, N.
    pub images: usize,
    /// Added to the mean norm.
    pub eps: f32,
}

impl Grn {
    fn channels(&self) -> usize {
        self.gamma.len()
    }

    /// GRN of GELU of `x [N, S, H]` to `out`; the sums of squares of GELU to `squares [N, H]`.
    pub fn forward(&self, record: &mut dyn Record, x: &Values, squares: &Values, out: &Values) {
        let chunks = Chunks::of(x, self.images, self.channels());
        let parts = chunks.parts(record, 1);
        let kernel = of("gelu_squares", x.element());
        record.push(chunks.launch(kernel, vec![read(x), write(&parts)]));
        let response = self.response(record, &parts, chunks.count, squares);
        self.respond(record, x, &response, out);
    }

    /// What [`forward`](Self::forward) made of `x`, whose `squares` are known.
    pub fn again(&self, record: &mut dyn Record, x: &Values, squares: &Values, out: &Values) {
        let same = record.scratch(squares.len(), Element::F32);
        // The sums of all sites are those of one chunk.
        let response = self.response(record, squares, 1, &same);
        self.respond(record, x, &response, out);
    }

    fn response(
        &self,
        record: &mut dyn Record,
        parts: &Values,
        chunks: usize,
        squares: &Values,
    ) -> Values {
        let response = record.scratch(squares.len(), Element::F32);
        let spans = vec![read(parts), read(&self.gamma), write(squares), write(&response)];
        let numbers = vec![int(chunks), int(self.channels()), self.eps.into()];
        record.push(block_each("grn_response", self.images, [spans, numbers].concat()));
        response
    }

    fn respond(&self, record: &mut dyn Record, x: &Values, response: &Values, out: &Values) {
        let spans = vec![read(x), read(response), read(&self.beta), write(out)];
        let arguments = [spans, self.sizes(x)].concat();
        record.push(threads(of("grn_respond", x.element()), packs(x, self.channels()), arguments));
    }

    /// Rows, sites of an image, channels.
    fn sizes(&self, x: &Values) -> Vec<crate::work::Argument> {
        let rows = x.len() / self.channels();
        [rows, rows / self.images, self.channels()].map(int).to_vec()
    }

    /// The gradients, from that by the result. `by_x` may lie where `gradient` does. Those by gamma and beta are added
    /// to what is there where `adds` is set.
    pub fn backward(
        &self,
        record: &mut dyn Record,
        [x, squares, gradient]: [&Values; 3],
        by_x: &Values,
        [by_gamma, by_beta]: [&Values; 2],
        adds: bool,
    ) {
        let channels = self.channels();
        let chunks = Chunks::of(x, self.images, channels);
        let parts = chunks.parts(record, 2);
        let kernel = of("grn_sums", x.element());
        record.push(chunks.launch(kernel, vec![read(x), read(gradient), write(&parts)]));
        let [response, along] = [(); 2].map(|()| record.scratch(squares.len(), Element::F32));
        let by_weights = record.scratch(2 * squares.len(), Element::F32);
        let inputs = [&parts, squares, &self.gamma].map(read).to_vec();
        let outputs = [&response, &along, &by_weights].map(write).to_vec();
        let numbers = vec![int(chunks.count), int(channels), self.eps.into()];
        let arguments = [inputs, outputs, numbers].concat();
        record.push(block_each("grn_along", self.images, arguments));
        sum_parts(record, &by_weights, [self.images, 0], by_gamma, adds);
        sum_parts(record, &by_weights, [self.images, channels], by_beta, adds);
        let inputs = [x, gradient, &response, &along].map(read).to_vec();
        let arguments = [inputs, vec![write(by_x)], self.sizes(x)].concat();
        record.push(threads(of("grn_input", x.element()), packs(x, channels), arguments));
    }
}
