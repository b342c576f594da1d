"""The comparison of samples itself: it must be able to say no."""
import unittest

from sample_columns import NOTHING, differences, leaf_names, reached, same


class Same(unittest.TestCase):
    def check(self, found, wanted, others, is_json=False):
        self.assertTrue(same(found, wanted, is_json))
        for other in others:
            self.assertFalse(same(other, wanted, is_json), other)

    def test_numbers(self):
        self.check(1.5, 1.5, [1.25, None, "1.5"])
        self.check(-0.0, -0.0, [0.0])
        self.check(float("nan"), float("nan"), [0.0, None])
        self.check(2, 2, [3, True, 2.5])
        self.check(1, 1, [True])
        # A whole number in a column of floats, where it is exact.
        self.check(2.0, 2, [2.5])
        self.check(2**53, 2**53, [2**53 + 1])
        self.assertFalse(same(float(2**53), 2**53 + 1))
        self.assertFalse(same(2, 2.0))

    def test_lists(self):
        self.check([1, None, [2]], [1, None, [2]], [[1, None], [1, None, [3]], [1, 0, [2]], None])
        self.check([-0.0, 1.0], [-0.0, 1], [[0.0, 1.0], [-0.0]])
        self.check([], [], [None, [None]])

    def test_json_text(self):
        self.check('{"a": [1, "x"]}', {"a": [1, "x"]}, ['{"a": [1, "y"]}', '{"a": [1.5, "x"]}', None], is_json=True)
        self.check(['1', '"1"', None], [1, "1", None], [['1', '1', None]], is_json=True)
        self.assertFalse(same('{"a": 1}', {"a": 1}))


class Columns(unittest.TestCase):
    def test_names_lead_through_objects_and_lists(self):
        value = {"a": [{"b": 1}, {}, None], "z.c": {"d.e": 2}, "f": None, "g": 3}
        self.assertEqual(reached(value, ["a", "b"]), [1, None, None])
        self.assertEqual(reached(value, ["z", "c", "d", "e"]), 2)
        self.assertIsNone(reached(value, ["f", "x"]))
        self.assertIs(reached(value, ["g", "x"]), NOTHING)
        self.assertEqual(leaf_names(value), {"a.b", "z.c.d.e", "g"})
        self.assertEqual(leaf_names({"a": [], "b": [[1], [2]], "c": [None]}), {"a", "b", "c"})

    def test_rows(self):
        samples = Columns.Fields(["n", "boxes.x", "source.episode_index"], json=["mixed"])
        found = {"n": 1, "boxes.x": [2, 3], "source.episode_index": 9, "mixed": '{"k": 1}'}
        wanted = {"n": 1, "boxes": [{"x": 2}, {"x": 3}], "episode_index": 9, "mixed": {"k": 1}}
        self.assertEqual(differences(samples, found, wanted), ([], 4))
        fewer, wider = [{"x": 2}], [{"x": 2}, {"x": 3, "y": 0}]
        for more in ({"n": 2}, {"boxes": fewer}, {"boxes": wider}, {"episode_index": 8}, {"mixed": {"k": 2}}, {"new": 0}):
            self.assertEqual(len(differences(samples, found, wanted | more)[0]), 1, more)

    class Fields:
        def __init__(self, plain, json):
            self.fields, self.json = [*plain, *json], json

        def is_json(self, name):
            return name in self.json


if __name__ == "__main__":
    unittest.main()
