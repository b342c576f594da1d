"""The comparison itself: it must be able to say no."""
import unittest

from expected_columns import leaves, same


class Leaves(unittest.TestCase):
    def test_structs_become_dotted_names_and_times_nanoseconds(self):
        message = {"header": {"stamp": {"sec": 2, "nanosec": 5}, "frame_id": "a"}, "data": [1.0]}
        self.assertEqual(leaves(message), {"header.stamp": 2_000_000_005, "header.frame_id": "a", "data": [1.0]})

    def test_lists_of_structs_become_parallel_lists(self):
        message = {"joints": [{"name": "a", "at": {"sec": 1, "nsec": 0}}, {"name": "b", "at": {"sec": 2, "nsec": 0}}]}
        self.assertEqual(leaves(message), {"joints.name": ["a", "b"], "joints.at": [10**9, 2 * 10**9]})


class Same(unittest.TestCase):
    def check(self, found, wanted, others, constants=None):
        self.assertTrue(same(found, wanted, constants))
        for other in others:
            self.assertFalse(same(other, wanted, constants), other)

    def test_numbers(self):
        self.check(1.5, 1.5, [1.25, None])
        self.check(-0.0, -0.0, [0.0])
        self.check(float("nan"), "nan", [0.0])
        self.check(2, 2, [3, True])
        self.check([1, 2], [1, 2], [[1], [1, 3], [1, 2, 3]])
        self.check(0.10000000149011612, 0.1, [0.1001])

    def test_bytes(self):
        digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        self.check(b"abc", {"len": 3, "sha256": digest}, [b"abd", b""])
        self.check({"bytes": b"abc", "path": None}, {"len": 3, "sha256": digest}, [{"bytes": b"x", "path": None}])
        self.check([97, 98, 99], {"len": 3, "sha256": digest}, [[97, 98]])
        self.check(b"abc", "YWJj", [b"abd"])

    def test_text_that_stands_for_numbers(self):
        self.check(1_700_000_000_250_000_000, "2023-11-14T22:13:20.25Z", [1_700_000_000_000_000_000])
        self.check(-1_500_000_000, "-1.5s", [1_500_000_000])
        self.check(5, "5", [6])
        self.check(2, "WARNING", [1], {"WARNING": 2})
        self.assertFalse(same(2, "WARNING", {}))


if __name__ == "__main__":
    unittest.main()
