"""Everyday objects made by rule: a random generator -> the mesh of one object of a class; z up, the front faces -y.

The classes differ in the front view, in the rear view, in either, or only in both together:

    either view     chair, table, car, bottle, teapot, hammer
    the front       wardrobe, bookcase, dresser
    the rear        delivery van, camper van, ladder van
    both together   washing machine, dryer, dishwasher, oven

The classes of one such group share a body. Objects of the same seed look alike from the other side: no feature is
visible from there or reaches beyond the body. Their pictures have the same bytes, except for one pixel in thousands of
pictures: there a ray meets two faces of the body at the same distance, and Embree takes either.
"""

from collections.abc import Callable

import numpy as np
import trimesh

from greedymm.data.synthetic.cad import appliances, cupboards, furniture, tools, vehicles, vessels

CLASSES: dict[str, Callable[[np.random.Generator], trimesh.Trimesh]] = {
    "chair": furniture.chair,
    "table": furniture.table,
    "car": vehicles.car,
    "bottle": vessels.bottle,
    "teapot": vessels.teapot,
    "hammer": tools.hammer,
    "wardrobe": cupboards.wardrobe,
    "bookcase": cupboards.bookcase,
    "dresser": cupboards.dresser,
    "delivery_van": vehicles.delivery_van,
    "camper_van": vehicles.camper_van,
    "ladder_van": vehicles.ladder_van,
    "washing_machine": appliances.washing_machine,
    "dryer": appliances.dryer,
    "dishwasher": appliances.dishwasher,
    "oven": appliances.oven,
}
