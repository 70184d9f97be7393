"""What Hugging Face `tokenizers` 0.23.3 does with each Unicode character.

Written by tests/golden/make_character_table.py; don't edit. Code points are hexadecimal, ranges include both ends.
"""

MADE_FROM = "0.23.3"

# cleaning removes these: control, format, private characters, U+FFFD
REMOVED = """
    0-8 b-c e-1f 7f-9f ad 600-605 61c 6dd 70f 180e 200b-200f 202a-202e 2060-2064 2066-206f e000-f8ff feff fff9-fffb
    fffd 110bd 1bca0-1bca3 1d173-1d17a e0001 e0020-e007f f0000-ffffd 100000-10fffd
"""

# ends a word
SPACE = """
    9-d 20 85 a0 1680 2000-200a 2028-2029 202f 205f 3000
"""

# a word by itself: punctuation, and the unified ideographs of CJK
ALONE = """
    21-2f 3a-40 5b-60 7b-7e a1 a7 ab b6-b7 bb bf 37e 387 55a-55f 589-58a 5be 5c0 5c3 5c6 5f3-5f4 609-60a 60c-60d 61b
    61e-61f 66a-66d 6d4 700-70d 7f7-7f9 830-83e 85e 964-965 970 af0 df4 e4f e5a-e5b f04-f12 f14 f3a-f3d f85 fd0-fd4
    fd9-fda 104a-104f 10fb 1360-1368 1400 166d-166e 169b-169c 16eb-16ed 1735-1736 17d4-17d6 17d8-17da 1800-180a
    1944-1945 1a1e-1a1f 1aa0-1aa6 1aa8-1aad 1b5a-1b60 1bfc-1bff 1c3b-1c3f 1c7e-1c7f 1cc0-1cc7 1cd3 2010-2027
    2030-2043 2045-2051 2053-205e 207d-207e 208d-208e 2308-230b 2329-232a 2768-2775 27c5-27c6 27e6-27ef 2983-2998
    29d8-29db 29fc-29fd 2cf9-2cfc 2cfe-2cff 2d70 2e00-2e2e 2e30-2e42 3001-3003 3008-3011 3014-301f 3030 303d 30a0
    30fb 3400-4dbf 4e00-9fff a4fe-a4ff a60d-a60f a673 a67e a6f2-a6f7 a874-a877 a8ce-a8cf a8f8-a8fa a8fc a92e-a92f
    a95f a9c1-a9cd a9de-a9df aa5c-aa5f aade-aadf aaf0-aaf1 abeb f900-faff fd3e-fd3f fe10-fe19 fe30-fe52 fe54-fe61
    fe63 fe68 fe6a-fe6b ff01-ff03 ff05-ff0a ff0c-ff0f ff1a-ff1b ff1f-ff20 ff3b-ff3d ff3f ff5b ff5d ff5f-ff65
    10100-10102 1039f 103d0 1056f 10857 1091f 1093f 10a50-10a58 10a7f 10af0-10af6 10b39-10b3f 10b99-10b9c
    11047-1104d 110bb-110bc 110be-110c1 11140-11143 11174-11175 111c5-111c9 111cd 111db 111dd-111df 11238-1123d
    112a9 114c6 115c1-115d7 11641-11643 1173c-1173e 12470-12474 16a6e-16a6f 16af5 16b37-16b3b 16b44 1bc9f
    1da87-1da8b 20000-2a6df 2a700-2b81f 2b920-2ceaf 2f800-2fa1f
"""

# first:last:step:shift; the lower case is the code point plus shift
LOWER = """
    41:5a:1:20 c0:d6:1:20 d8:de:1:20 100:12e:2:1 132:136:2:1 139:147:2:1 14a:176:2:1 178:178:1:-79 179:17d:2:1
    181:181:1:d2 182:184:2:1 186:186:1:ce 187:187:1:1 189:18a:1:cd 18b:18b:1:1 18e:18e:1:4f 18f:18f:1:ca
    190:190:1:cb 191:191:1:1 193:193:1:cd 194:194:1:cf 196:196:1:d3 197:197:1:d1 198:198:1:1 19c:19c:1:d3
    19d:19d:1:d5 19f:19f:1:d6 1a0:1a4:2:1 1a6:1a6:1:da 1a7:1a7:1:1 1a9:1a9:1:da 1ac:1ac:1:1 1ae:1ae:1:da 1af:1af:1:1
    1b1:1b2:1:d9 1b3:1b5:2:1 1b7:1b7:1:db 1b8:1b8:1:1 1bc:1bc:1:1 1c4:1c4:1:2 1c5:1c5:1:1 1c7:1c7:1:2 1c8:1c8:1:1
    1ca:1ca:1:2 1cb:1db:2:1 1de:1ee:2:1 1f1:1f1:1:2 1f2:1f4:2:1 1f6:1f6:1:-61 1f7:1f7:1:-38 1f8:21e:2:1
    220:220:1:-82 222:232:2:1 23a:23a:1:2a2b 23b:23b:1:1 23d:23d:1:-a3 23e:23e:1:2a28 241:241:1:1 243:243:1:-c3
    244:244:1:45 245:245:1:47 246:24e:2:1 370:372:2:1 376:376:1:1 37f:37f:1:74 386:386:1:26 388:38a:1:25
    38c:38c:1:40 38e:38f:1:3f 391:3a1:1:20 3a3:3ab:1:20 3cf:3cf:1:8 3d8:3ee:2:1 3f4:3f4:1:-3c 3f7:3f7:1:1
    3f9:3f9:1:-7 3fa:3fa:1:1 3fd:3ff:1:-82 400:40f:1:50 410:42f:1:20 460:480:2:1 48a:4be:2:1 4c0:4c0:1:f 4c1:4cd:2:1
    4d0:52e:2:1 531:556:1:30 10a0:10c5:1:1c60 10c7:10c7:1:1c60 10cd:10cd:1:1c60 13a0:13ef:1:97d0 13f0:13f5:1:8
    1c89:1c89:1:1 1c90:1cba:1:-bc0 1cbd:1cbf:1:-bc0 1e00:1e94:2:1 1e9e:1e9e:1:-1dbf 1ea0:1efe:2:1 1f08:1f0f:1:-8
    1f18:1f1d:1:-8 1f28:1f2f:1:-8 1f38:1f3f:1:-8 1f48:1f4d:1:-8 1f59:1f5f:2:-8 1f68:1f6f:1:-8 1f88:1f8f:1:-8
    1f98:1f9f:1:-8 1fa8:1faf:1:-8 1fb8:1fb9:1:-8 1fba:1fbb:1:-4a 1fbc:1fbc:1:-9 1fc8:1fcb:1:-56 1fcc:1fcc:1:-9
    1fd8:1fd9:1:-8 1fda:1fdb:1:-64 1fe8:1fe9:1:-8 1fea:1feb:1:-70 1fec:1fec:1:-7 1ff8:1ff9:1:-80 1ffa:1ffb:1:-7e
    1ffc:1ffc:1:-9 2126:2126:1:-1d5d 212a:212a:1:-20bf 212b:212b:1:-2046 2132:2132:1:1c 2160:216f:1:10 2183:2183:1:1
    24b6:24cf:1:1a 2c00:2c2f:1:30 2c60:2c60:1:1 2c62:2c62:1:-29f7 2c63:2c63:1:-ee6 2c64:2c64:1:-29e7 2c67:2c6b:2:1
    2c6d:2c6d:1:-2a1c 2c6e:2c6e:1:-29fd 2c6f:2c6f:1:-2a1f 2c70:2c70:1:-2a1e 2c72:2c72:1:1 2c75:2c75:1:1
    2c7e:2c7f:1:-2a3f 2c80:2ce2:2:1 2ceb:2ced:2:1 2cf2:2cf2:1:1 a640:a66c:2:1 a680:a69a:2:1 a722:a72e:2:1
    a732:a76e:2:1 a779:a77b:2:1 a77d:a77d:1:-8a04 a77e:a786:2:1 a78b:a78b:1:1 a78d:a78d:1:-a528 a790:a792:2:1
    a796:a7a8:2:1 a7aa:a7aa:1:-a544 a7ab:a7ab:1:-a54f a7ac:a7ac:1:-a54b a7ad:a7ad:1:-a541 a7ae:a7ae:1:-a544
    a7b0:a7b0:1:-a512 a7b1:a7b1:1:-a52a a7b2:a7b2:1:-a515 a7b3:a7b3:1:3a0 a7b4:a7c2:2:1 a7c4:a7c4:1:-30
    a7c5:a7c5:1:-a543 a7c6:a7c6:1:-8a38 a7c7:a7c9:2:1 a7cb:a7cb:1:-a567 a7cc:a7da:2:1 a7dc:a7dc:1:-a641
    a7f5:a7f5:1:1 ff21:ff3a:1:20 10400:10427:1:28 104b0:104d3:1:28 10570:1057a:1:27 1057c:1058a:1:27
    1058c:10592:1:27 10594:10595:1:27 10c80:10cb2:1:40 10d50:10d65:1:20 118a0:118bf:1:20 16e40:16e5f:1:20
    16ea0:16eb8:1:1b 1e900:1e921:1:22
"""

# NFC may change these, or join them to the character before
NFC_ACTIVE = """
    300-34e 350-36f 374 37e 387 483-487 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 610-61a 64b-65f 670 6d6-6dc 6df-6e4 6e7-6e8
    6ea-6ed 711 730-74a 7eb-7f3 816-819 81b-823 825-827 829-82d 859-85b 8d4-8e1 8e3-8ff 93c 94d 951-954 958-95f 9bc
    9be 9cd 9d7 9dc-9dd 9df a33 a36 a3c a4d a59-a5b a5e abc acd b3c b3e b4d b56-b57 b5c-b5d bbe bcd bd7 c4d c55-c56
    cbc cc2 ccd cd5-cd6 d3e d4d d57 dca dcf ddf e38-e3a e48-e4b eb8-eb9 ec8-ecb f18-f19 f35 f37 f39 f43 f4d f52 f57
    f5c f69 f71-f76 f78 f7a-f7d f80-f84 f86-f87 f93 f9d fa2 fa7 fac fb9 fc6 102e 1037 1039-103a 108d 1161-1175
    11a8-11c2 135d-135f 1714 1734 17d2 17dd 18a9 1939-193b 1a17-1a18 1a60 1a75-1a7c 1a7f 1ab0-1abd 1b34-1b35 1b44
    1b6b-1b73 1baa-1bab 1be6 1bf2-1bf3 1c37 1cd0-1cd2 1cd4-1ce0 1ce2-1ce8 1ced 1cf4 1cf8-1cf9 1dc0-1df5 1dfb-1dff
    1f71 1f73 1f75 1f77 1f79 1f7b 1f7d 1fbb 1fbe 1fc9 1fcb 1fd3 1fdb 1fe3 1feb 1fee-1fef 1ff9 1ffb 1ffd 2000-2001
    20d0-20dc 20e1 20e5-20f0 2126 212a-212b 2329-232a 2adc 2cef-2cf1 2d7f 2de0-2dff 302a-302f 3099-309a a66f
    a674-a67d a69e-a69f a6f0-a6f1 a806 a8c4 a8e0-a8f1 a92b-a92d a953 a9b3 a9c0 aab0 aab2-aab4 aab7-aab8 aabe-aabf
    aac1 aaf6 abed f900-fa0d fa10 fa12 fa15-fa1e fa20 fa22 fa25-fa26 fa2a-fa6d fa70-fad9 fb1d-fb1f fb2a-fb36
    fb38-fb3c fb3e fb40-fb41 fb43-fb44 fb46-fb4e fe20-fe2f 101fd 102e0 10376-1037a 10a0d 10a0f 10a38-10a3a 10a3f
    10ae5-10ae6 11046 1107f 110b9-110ba 11100-11102 11127 11133-11134 11173 111c0 111ca 11235-11236 112e9-112ea
    1133c 1133e 1134d 11357 11366-1136c 11370-11374 11442 11446 114b0 114ba 114bd 114c2-114c3 115af 115bf-115c0
    1163f 116b6-116b7 1172b 11c3f 16af0-16af4 16b30-16b36 1bc9e 1d15e-1d169 1d16d-1d172 1d17b-1d182 1d185-1d18b
    1d1aa-1d1ad 1d1bb-1d1c0 1d242-1d244 1e000-1e006 1e008-1e018 1e01b-1e021 1e023-1e024 1e026-1e02a 1e8d0-1e8d6
    1e944-1e94a 2f800-2fa1d
"""

# the NFC of `tokenizers` doesn't know these, and works between them
NFC_NEWER = """
    378-379 380-383 38b 38d 3a2 530-590 5c8-5ff 70e 74b-7bf 7fb-7fd 82e-83f 85c-8d3 984-9bb 9c5-9c6 9c9-9ca 9cf-9d6
    9d8-9db 9de 9e4-a31 a34 a37-a3b a3d-a4a a4e-a58 a5d a5f-abb ac6-aca ace-b3b b45-b46 b49-b4a b4e-b54 b58-b5b
    b5e-b91 b96-bbd bc3-bc5 bc9 bce-bd6 bd8-c45 c49 c4e-c54 c57-cbb cc5 cc9 cce-cd4 cd7-d3c d45 d49 d50-d53 d64-dc9
    dcb-dce dd5-dd7 de0-e00 e3b-e3e e5c-ea6 eba-ec7 ece-eff f48 f6d-f70 f98 fbd fcd-fff 10c6-10cf 1249-135c
    137d-16ff 1715-171e 1737-177f 17de-187f 18ab-192f 193c-19dd 1a1c-1a5f 1a7d-1a7e 1a8a-1aaf 1abf-1aff 1b4d-1b4f
    1b7f 1bf4-1bfb 1c38-1ccf 1cfb-1cff 1df6-1dfa 1f16-1f17 1f1e-1f1f 1f46-1f47 1f4e-1f4f 1f58 1f5a 1f5c 1f5e
    1f7e-1f7f 1fb5 1fc5 1fd4-1fd5 1fdc 1ff0-1ff1 1ff5 1fff 2065 2072-2073 208f 209d-209f 20c1-20cf 20f1-20ff
    218c-218f 2427-243f 244b-245f 2b74-2b75 2b96 2cf4-2d7e 2d97-2ddf 2e5e-2fff 3040 3097-3098 3100-3104 3130 318f
    31e4-31ef 321f a48d-a63f a6f8-a7f1 a82c-a87f a8c6-a8df a954-a97f a9ce-aa5b aac3-aada aaf7-ab6f abee-abff
    d7a4-d7ff fa6e-fa6f fada-fb1c fb37 fb3d fb3f fb42 fb45 fbc3-fdef fe1a-fe1f fe53-ff00 ffbf-ffc1 ffc8-ffc9
    ffd0-ffd1 ffd8-ffd9 ffdd-ffdf ffe7 ffef-101cf 101fe-102df 102fc-1034f 1037b-10a0b 10a14-10a37 10a3b-10a3e
    10a49-10abf 10ae7-10fff 1104e-1107e 110c3-110ff 11135-1114f 11177-1117f 111e0-11212 1123f-112af 112eb-1133b
    11345-11346 11349-1134a 1134e-11356 11358-11365 1136d-1136f 11375-113ff 1145c-1147f 114c8-1157f 115b6-115b7
    115de-115ff 11645-1167f 116ba-1171c 1172c-11c37 11c46-16aef 16af6-16aff 16b46-1bc9b 1bca4-1d128 1d1eb-1d1ff
    1d246-1dfff 1e007 1e019-1e01a 1e022 1e025 1e02b-1e8c6 1e8d7-1e8ff 1e94c-1efff 1f02c-1f02f 1f094-1f09f
    1f0af-1f0b0 1f0c0 1f0d0 1f0f6-1f0ff 1f1ae-1f1e5 1f203-1f20f 1f23c-1f23f 1f249-1f24f 1f252-1f25f 1f266-1f2ff
    1f6d8-1f6dc 1f6ed-1f6ef 1f6fd-1f6ff 1f774-1f77f 1f7d9-1f7df 1f7ec-1f7ef 1f7f1-1f7ff 1f80c-1f80f 1f848-1f84f
    1f85a-1f85f 1f888-1f88f 1f8ae-1f8af 1f8b2-1f8ff 1fa54-1fa5f 1fa6e-1fa6f 1fa75-1fa77 1fa7d-1fa7f 1fa87-1fa8f
    1faad-1faaf 1fabb-1fabf 1fac6-1facf 1fada-1fadf 1fae8-1faef 1faf7-2f7ff 2fa1e-10ffff
"""
