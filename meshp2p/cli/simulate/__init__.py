"""`meshp2p simulate`: scenarios, many seeds, and what came of them."""
