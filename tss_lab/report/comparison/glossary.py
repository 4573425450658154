"""How to read the comparison's page."""

from __future__ import annotations

GLOSSARY = {
    "± and SD": "± is one standard error over the items: what other items of the same kind would change. SD is the "
    "standard deviation over seeds: what another seed would change. Neither covers the other. A sum's ± takes the "
    "benchmarks as independent. At 0 or 100 % correct the 95 % interval after Wilson stands in its place.",
    "Method − random": "The mean over the seeds that both have, item by item. The 95 % interval covers the items and, "
    "from two seeds on, the seeds (Student's t; a little too wide rather than too narrow); with one seed, the items "
    "alone. An interval that spans zero leaves open which is better; with few items gained or lost it is rough.",
    "No item changed": "Both had the very same items right under every seed, so there is nothing to take an interval "
    "from. It doesn't mean a difference of exactly zero.",
    "Held-out loss": "Lower is better. Against random it is paired in the same way, by held-out example and seed.",
    "The best method": "The highest of several noisy sums is too high on average, the more so the more methods there "
    "are. Its interval is that of one comparison and doesn't account for the choice; it doesn't make a winner.",
    "Null test": "At ρ = 1 every method that filters keeps every example: one training set under several names. How "
    "far such runs lie apart is the noise, and a gain of that size needs no better data to explain it. Weighted "
    "methods train differently even then and are left out.",
    "Variants": "Runs of one method with other settings of its own (τ, α, K, the generator, the chooser, ...) are rows "
    "of their own; the settings in which they differ stand behind the method's name.",
    "Demonstration items": "Short items in the form of a benchmark that come with the package. They show that every "
    "step works; a number on them says nothing about the benchmark.",
}
