"""The order of streams is `lanes/1`: the vectors, and streams against the order written down once more. Run by `cargo xtask test`."""
import json
import os
import pathlib
import random
import unittest

import nodedata
import lanes_order as lanes
from wheel_sets import LONG, Set, positions, published

FIXTURES = pathlib.Path(os.environ.get("NODEDATA_FIXTURES", pathlib.Path(__file__).parent / "../../fixtures")) / "lanes"


class Vectors(unittest.TestCase):
    """What streams are held against is itself right."""

    def test_functions_and_orders_are_those_of_the_vectors(self):
        vectors = json.loads((FIXTURES / "lanes1-vectors.json").read_text())
        self.assertEqual(f"{lanes.mix(1):#018x}", vectors["mix(1)"])
        self.assertEqual(f"{lanes.mix(lanes.MASK):#018x}", vectors["mix(2**64-1)"])
        self.assertEqual([f"{it:#018x}" for it in lanes.keys(7, 0, 1)], vectors["keys(7, 0, 1)"])
        rounds = lanes.keys(7, 0, 1)
        self.assertEqual([lanes.permute(rounds, 10, it) for it in range(10)], vectors["permute(keys(7,0,1), 10, 0..10)"])
        large = 2**33 + 1
        found = [lanes.permute(rounds, large, it) for it in (0, 1, 2**33)]
        self.assertEqual(found, vectors["permute(keys(7,0,1), 2**33+1, [0,1,2**33])"])
        told = vectors["order"]
        sizes = lanes.blocks(told["rows"], told["block"])
        made = lanes.order(sizes, told["seed"], told["epoch"], told["lanes"], told["window"])
        self.assertEqual((made[:32], made[-8:], lanes.digest(made)), (told["first 32"], told["last 8"], told["b3 of all as <u64"]))
        self.assertEqual(lanes.order(sizes, 7, 1, 8, 64)[:8], vectors["order epoch 1, first 8"])
        self.assertEqual(lanes.order(sizes, 7, 0, 1, 799)[:16], vectors["uniform (lanes 1, window N), first 16"])
        draw = lanes.mixture([7, 3], 7)
        self.assertEqual([draw(it) for it in range(16)], vectors["mixture [7,3] seed 7, first 16"])

    def test_random_plans_have_the_orders_of_the_reference(self):
        plans = json.loads((FIXTURES / "random-plans.json").read_text())
        self.assertEqual((len(plans["orders"]), len(plans["mixtures"])), (100, 10))
        for plan in plans["orders"]:
            lengths = plan["lengths"]
            sizes = lanes.blocks(lengths, plan["block"]) if plan["unit"] == "step" else [1 for it in lengths if it]
            made = lanes.order(sizes, plan["seed"], plan["epoch"], plan["lanes"], plan["window"])
            self.assertEqual(lanes.digest(made), plan["order"], plan)
        for plan in plans["mixtures"]:
            draw = lanes.mixture(plan["weights"], plan["seed"])
            made = [draw(it) for it in range(plan["first"], plan["first"] + 1500)]
            self.assertEqual(lanes.digest(made), plan["sources"], plan)


class Streams(unittest.TestCase):
    """What is handed out is what the order says, of the very set of the vectors."""

    LENGTHS = [53, 1, 200, 17, 96, 300, 4, 128]

    @classmethod
    def setUpClass(cls):
        cls.node, cls.folder = published("vectors", Set(cls.LENGTHS))
        cls.dataset = cls.node.datasets.open("vectors")

    def stream(self, **options):
        return self.node.datasets.stream(self.dataset, unit="step", fields=["state"], **options)

    def order(self, state, lengths=None):
        """What a state says of the order, place by place."""
        lengths = lengths or self.LENGTHS
        plan, source = state["plan"], state["sources"][0]
        sizes = lanes.blocks(lengths, plan["block"])
        made = lanes.order(sizes, plan["seed"], source["epoch"], plan["lanes"], plan["window"])
        return [lanes.located(lengths, it) for it in made]

    def test_a_uniform_shuffle_is_that_of_the_vectors(self):
        vectors = json.loads((FIXTURES / "lanes1-vectors.json").read_text())
        stream = self.stream(shuffle="uniform", seed=7, block=64)
        found = positions(stream)
        first = vectors["uniform (lanes 1, window N), first 16"]
        self.assertEqual(found[:16], [lanes.located(self.LENGTHS, it) for it in first])
        self.assertEqual(len(set(found)), sum(self.LENGTHS))

    def test_streams_follow_the_order_that_their_state_tells(self):
        rng = random.Random(5)
        for options in [{}, {"block": 64, "lanes": 8}, {"block": 100, "lanes": 3, "epoch": 4}, {"lanes": 64, "seed": 2**63 + 5}, {"epoch": 2**64 - 1}]:
            with self.subTest(options=options):
                stream = self.stream(shuffle=True, **({"seed": rng.randrange(1 << 40)} | options))
                order = self.order(stream.state_dict())
                self.assertEqual(positions(stream), order)

    def test_the_next_epoch_has_its_own_order(self):
        stream = self.stream(shuffle=True, seed=7)
        first = positions(stream)
        iter(stream)
        self.assertEqual(stream.state_dict()["sources"][0]["epoch"], 1)
        order = self.order(stream.state_dict())
        second = positions(stream)
        self.assertEqual(second, order)
        self.assertNotEqual(first, second)
        self.assertEqual(sorted(first), sorted(second))

    def test_without_shuffling_it_is_the_order_of_the_file(self):
        found = positions(self.stream())
        self.assertEqual(found, [(episode, step) for episode, length in enumerate(self.LENGTHS) for step in range(length)])

    def test_a_mixture_draws_from_its_sources_in_their_shares(self):
        one, other = self.stream(shuffle=True, seed=1), self.stream(shuffle=True, seed=2)
        mixed = nodedata.mix([(one, 0.7), (other, 0.3)], seed=7, stop=2000)
        draw = lanes.mixture([7, 3], 7)
        orders = []
        for source in (one, other):
            state = source.state_dict()
            epochs = [self.order(state | {"sources": [state["sources"][0] | {"epoch": it}]}) for it in range(3)]
            orders.append([it for epoch in epochs for it in epoch])
        taken, expected = [0, 0], []
        for place in range(2000):
            source = draw(place)
            expected.append((source, orders[source][taken[source]]))
            taken[source] += 1
        found = [(it.source, (it.index, it.step)) for it in mixed]
        self.assertEqual(found, expected)
        self.assertEqual(mixed.state_dict()["mix"]["shares"], lanes.shares([7, 3]))

    @unittest.skipUnless(LONG, "takes long: NODEDATA_TEST_LONG=1")
    def test_random_sets_follow_their_order(self):
        rng = random.Random(11)
        for number in range(20):
            lengths = [rng.randint(1, 90) for _ in range(rng.randint(1, 20))]
            node, _ = published(f"random-{number}", Set(lengths), folder=self.folder)
            stream = node.datasets.stream(
                f"random-{number}", unit="step", fields=["state"], shuffle=True, seed=rng.randrange(1 << 64),
                epoch=rng.randrange(1 << 20), block=rng.choice([1, 7, 64]), lanes=rng.randint(1, min(8, sum(lengths))),
            )
            order = self.order(stream.state_dict(), lengths)
            self.assertEqual(positions(stream), order)


if __name__ == "__main__":
    unittest.main()
