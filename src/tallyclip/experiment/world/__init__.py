"""A small world in which curation can be tried on images: pictures made of drawings of things, with captions as alt texts of the web are.

``settings`` says what there is, ``things`` which things are classes and how frequent each is, ``atlas`` has their drawings, ``pictures``
and ``captions`` make one sample, ``pool`` and ``sets`` write tars of them. Everything follows from the settings and a seed.

The drawings in ``data`` are atlases of 1,161 cells of 64 x 64 pixels, 36 in a row, made of the images of the npm packages
emoji-datasource-google 16.0.0 (``noto.webp``), emoji-datasource-twitter 16.0.0 (``twemoji.webp``) and @lobehub/fluent-emoji-3d 1.1.0
(``fluent-3d.webp``). Left out are flags, symbols, skin tones, sequences joined by ZWJ, and what one of the packages has no image of.
``words.tsv.zst`` has a line for each cell: its code points and its group by emoji-datasource-google, and its English keywords and its names
in 48 languages by the npm package cldr-annotations-full 48.2.0. NOTICE has the licences.
"""
