"""Everyday objects made by rule: a random generator -> the mesh of one object of a class; z up, the front faces -y.

What tells the classes apart shows from the front, from the rear, from both, or only to who sees both:

    either view     chair, table, car, bottle, teapot, hammer
    the front       wardrobe, bookcase, dresser
    the rear        delivery van, camper van, ladder van
    both together   washing machine, dryer, dishwasher, oven

The classes of one such group share a body. Their objects of the same seed look alike from the side that does not tell:
no feature shows from there, or reaches beyond the body. So do their pictures, to the byte, but for one pixel in some
thousands of pictures, where a ray meets two faces of the body at the same distance and Embree takes either.
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
