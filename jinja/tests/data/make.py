"""Goldens of templates: what jinja2 gives, set up as transformers sets it up.

    pip install jinja2==3.1.6; python jinja/tests/data/make.py     # writes jinja/tests/data/jinja2.json

Each line of `EXPRESSIONS` becomes a template `{{ … }}`; `TEMPLATES` are whole ones. If jinja2 fails, so must siskin; the words of
errors are not compared. The templates are written for this project.
"""

import json
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = "26 Jul 2024"


class Generation(jinja2.ext.Extension):
    """As transformers' AssistantTracker: a `generation` block is a call block."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_render")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: NOW
    return environment


VARIABLES = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "  Hello, <World>!\n"},
        {"role": "assistant", "content": "Hi 'you' \"there\"\\"},
        {"role": "user", "content": "naïve 🦜 İstanbul straße ΣΑΣ"},
    ],
    "text": "a-b c\td\n\nE f  g",
    "add_generation_prompt": True,
    "bos_token": "<s>",
    "tools": None,
    "documents": None,
}

EXPRESSIONS = r"""
none
true, false
True
1
1.0
1e100
1e16
1e15
123456789012345.6
0.0001
0.00001
1.5e-7
-0.0
100000000000000000000.0
1/3
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
7.5 // 2
-7.5 // 2
7.5 % -2
-7.5 % 2
2 ** 10
2 ** -1
2 ** 0.5
2 ** 3 ** 2
-2 ** 2
1 / 0
1 // 0
1 % 0
10 / 2
True + True
1 + 1.5
'a' + 'b'
'a' + 1
'a' ~ 1 ~ none ~ 1.0 ~ true
'ab' * 3
3 * 'ab'
'ab' * -1
'ab' * 1.5
[1, 2] + [3]
[1] * 3
(1, 2) + (3,)
[1] + (2,)
[1, 'a', 1.0, none, true, [2], {'a': 1}]
(1,)
()
(1, 2)
{}
{'a': 1, 'b': [1, 2]}
{1: 2, 'a': none}
{'a': 1, 'a': 2}
['it\'s', "say \"x\"", 'both \' and "', 'a\\b', 'a\nb\tc\rd', 'é', '🦜', '\x00\x7f\xa0', '\u200b']
'a' 'b'
'\x41\u00e9\101\q\
x'
missing
missing.x
missing[0]
missing + 1
missing == missing
missing == none
missing ~ 'x'
missing is defined, missing is undefined, missing is none
missing | default('d'), none | default('d'), none | default('d', true), '' | d('e', boolean=true)
missing | length, missing | list, missing | first, missing | join
missing | upper
missing | int
missing in [1]
missing in 'abc'
not missing
messages[0].missing
messages[0].missing.more
messages[9]
messages[-1].role
messages[0]['role'], messages[0].role
messages[0].items
messages[0].items is defined, messages[0].nope is defined
messages[1:] | length, messages[::-1][0].role, messages[:2] | length, messages[-2:][0].role
'hello'[1], 'hello'[-1], 'hello'[1:3], 'hello'[::-1], 'hello'[::2], 'hello'[10], 'hello'[-3:], 'hello'[:-1], 'hello'[5:1]
'hello'[::0]
'naïve🦜'[2:4], 'naïve🦜'[-1]
[1,2,3,4][1:3], [1,2,3,4][::-2], (1,2,3)[1:], [1,2,3][5:], [1,2,3][-10:2]
range(5), range(2, 8, 3), range(5) | list, range(5)[2], range(5)[1:3], range(0), range(5, 0, -2) | list
range(1000000)
range(3) | length, 2 in range(3), range(10)[::3] | list
1 < 2 < 3, 1 < 3 < 2, 1 == 1.0, true == 1, 'a' < 'b', [1, 2] < [1, 3], (1,) < (1, 2)
1 < 'a'
none < 1
[1] == (1,)
1 in [1.0], 'a' in {'a': 1}, 'b' not in 'abc', none in [none], '' in 'a'
1 in 'a'
1 in 5
not true or true and false
1 and 2, 0 or 'x', '' or none, 0 and 1
'y' if true else 'n', 'y' if false else 'n'
'y' if false
('y' if false) is defined
1 if 0 else 2 if 0 else 3
not not 1
not 1 == 2
- 3 | abs
-3 | abs
(-3) | abs
+3
--3
3 | abs + 1
none is iterable, 1 is iterable, '' is iterable, [] is iterable, {} is iterable, range(1) is iterable, missing is iterable
none is sequence, 1 is sequence, '' is sequence, [] is sequence, {} is sequence, range(1) is sequence, missing is sequence, messages[0].items() is sequence
none is mapping, {} is mapping, [] is mapping, missing is mapping
none is string, '' is string, missing is string
1 is number, 1.0 is number, true is number, '1' is number
1 is integer, true is integer, 1.0 is integer, 1 is float, 1.0 is float, true is boolean, 1 is boolean
true is true, 1 is true, false is false, 0 is false
1 is odd, 2 is even, 6 is divisibleby 3, 6 is divisibleby(4)
'a' is lower, 'A' is upper, 'aA' is lower, '1' is lower
1 is eq 1, 1 is equalto 1, 1 is ne 2, 1 is lt 2, 2 is gt 1, 1 is le 1, 1 is ge 2, 1 is in [1], 1 is not in [1], 1 is sameas 1, none is sameas none
1 is lessthan 2, 1 is greaterthan 2, 1 is == 1
range is callable, messages is callable, 'a'.upper is callable
'upper' is filter, 'nope' is filter, 'even' is test, 'nope' is test
1 is nope
1 | nope
'x' is escaped, 'x' | e is escaped
1 is not none
none is none and true
namespace() is mapping, namespace() is iterable
'<a & "b\'">' | e, '<' | e | e, '<' | forceescape | e, '<' | safe | e
('<' | e) + '<'
('<' | e) ~ '<'
'abc' | upper | lower | capitalize
'hello wORLD foo-bar (baz' | title, 'hello wORLD it\'s'.title(), 'ab CD' | capitalize, 'ßa' | capitalize
'İ'.lower(), 'ΣΑΣ'.lower(), 'straße'.upper(), 'Straße'.swapcase(), 'ﬁ'.upper()
'  a b ' | trim, '  a '.strip(), '  a '.lstrip(), '  a '.rstrip(), 'xxaxx'.strip('x'), 'xyaxy' | trim('xy'), 'abc'.rstrip('bc'), 'abc'.lstrip('ab')
'\u00a0\u2003a\u200b'.strip(), '\x1fa\x1c'.strip()
'a b  c'.split(), 'a b  c'.split(' '), 'a,b,c'.split(',', 1), 'a,b,c'.rsplit(',', 1), ' a b c '.split(none, 1), ' a b c '.rsplit(none, 1), ''.split(), ''.split(','), 'a b c'.split(maxsplit=1)
'abc'.split('')
'a\nb\r\nc\rd\x0be\n'.splitlines(), 'a\nb\n'.splitlines(true), ''.splitlines(), '\n'.splitlines()
'abc'.startswith('a'), 'abc'.startswith(('x', 'a')), 'abc'.endswith(('c',)), 'abc'.startswith('b', 1), 'abc'.endswith('b', 0, 2), ''.startswith('')
'abc'.startswith(['a'])
'aaa'.replace('a', 'b'), 'aaa'.replace('a', 'b', 2), 'abc'.replace('', '-'), 'aXbX' | replace('X', '.'), 'aaa' | replace('a', 'b', 1), 'aaa' | replace('a', 1)
'hello'.find('l'), 'hello'.rfind('l'), 'hello'.find('z'), 'hello'.index('e'), 'hello'.count('l'), 'hello'.count(''), 'hello'.find('l', 3), 'hello'.find('l', 4), 'é🦜x'.find('x')
'hello'.index('z')
'hello'.rindex('z')
'-'.join(['a', 'b']), ', '.join('abc'), ''.join([])
'-'.join([1])
'prefix-x'.removeprefix('prefix-'), 'x.py'.removesuffix('.py'), 'x'.removeprefix('y')
'a=b=c'.partition('='), 'a=b=c'.rpartition('='), 'abc'.partition('x'), 'abc'.rpartition('x')
'ab'.center(7, '*'), 'abc'.center(6, '*'), 'abc'.center(8, '*'), 'ab'.ljust(5) ~ '|', 'ab'.rjust(5), 'abc' | center(8), 'ab'.center(1)
'a\tb'.expandtabs(4), 'ab\tc'.expandtabs(), '\t'.expandtabs(0)
'abc'.isalpha(), 'a1'.isalnum(), '12'.isdigit(), '12'.isdecimal(), '½'.isnumeric(), ' \t'.isspace(), 'Ab'.istitle(), 'AB'.isupper(), 'ab'.islower(), 'é'.isascii(), 'a_1'.isidentifier(), ''.isalpha(), 'a\n'.isprintable(), '²'.isdigit()
'²'.isdecimal(), '½'.isdigit(), '٣'.isdecimal(), '①'.isdigit(), '四'.isdigit(), 'Ⅷ'.isdigit(), 'Ⅷ'.isnumeric()
'abc'.zfill(5), '-5'.zfill(4), '+5'.zfill(4), 'abc'.zfill(2)
'a'.casefold(), 'ß'.casefold()
'x'.nope
'x'.nope()
'x'.upper
'x'.__class__
'x'.__class__ is defined
[1, 2, 1].count(1), [1, 2].index(2), (1, 2).index(1)
[1].append(2)
[1].pop()
{'a': 1}.get('a'), {'a': 1}.get('b'), {'a': 1}.get('b', 3), {'a': 1}.keys(), {'a': 1}.values(), {'a': 1}.items(), {'a': 1}.items() | list
{'a': 1}.update({'b': 1})
{'a': 1}.pop('a')
{'a': 1}.copy()
{'a': {'b': 1}}.a.b
{'items': 1}.items, 1
{'items': 1}['items'], {'keys': 2}['keys']
(2).bit_length(), 2.0.is_integer()
[3, 1, 2] | sort, [3, 1, 2] | sort(reverse=true), ['b', 'A', 'c'] | sort, ['b', 'A', 'c'] | sort(case_sensitive=true), [[2, 1], [1, 2]] | sort
[1, 'a'] | sort
[none, 1] | sort
[{'a': 2}, {'a': 1}] | sort(attribute='a'), [{'a': 2, 'b': 1}, {'a': 1, 'b': 1}] | sort(attribute='b,a')
{'b': 1, 'A': 2} | dictsort, {'b': 1, 'a': 2} | dictsort(false, 'value'), {'b': 1, 'a': 2} | dictsort(reverse=true)
[1, 1, 2, 'A', 'a'] | unique | list, [{'a': 1}, {'a': 1}] | unique(attribute='a') | list
[1, 2, 3] | first, [1, 2, 3] | last, [] | first, [] | last, 'abc' | first, 'abc' | last
[1, 2, 3] | max, [1, 2, 3] | min, ['b', 'A'] | max, [] | max, [{'a': 1}, {'a': 3}] | max(attribute='a')
[1, 2, 3] | sum, [1.5, 2] | sum, [{'a': 1}, {'a': 2}] | sum(attribute='a'), [[1], [2]] | sum(start=[])
['a'] | sum
[1, 2, 3] | join, [1, 2, 3] | join(', '), 'abc' | join('-'), [{'a': 1}] | join(',', attribute='a'), {'a': 1, 'b': 2} | join(',')
[1, 2, 3] | reverse | list, 'abc' | reverse, (1, 2) | reverse | list
[1, 2, 3] | length, 'naïve' | count, {'a': 1} | length
1 | length
[1,2,3] | map('string') | list, ['a', 'b'] | map('upper') | join(','), [{'a': 1}, {}] | map(attribute='a', default=0) | list, [[1, 2]] | map(attribute=0) | list, [{'a': {'b': 1}}] | map(attribute='a.b') | list
['a b', 'c'] | map('replace', 'a', 'x') | list, [' a '] | map('trim') | list
messages | map(attribute='role') | join(',')
messages | selectattr('role', 'equalto', 'user') | list | length, messages | selectattr('role', '==', 'user') | map(attribute='content') | list, messages | rejectattr('role', 'in', ['user', 'system']) | list | length
messages | selectattr('role') | list | length, messages | selectattr('nope') | list, messages | rejectattr('nope', 'defined') | list | length
[1, 2, 3, 4] | select('even') | list, [1, 2, 3] | reject('odd') | list, [0, 1, ''] | select | list, [1, 2, 3] | select('gt', 1) | list, [none, 1] | reject('none') | list
[1, 2, 3] | map('nope') | list
none | selectattr('a') | list, none | map('upper') | list, none | select | list, 0 | reject('odd') | list
messages | groupby('role') | map('first') | list
[{'a': 'x', 'b': 1}, {'a': 'y', 'b': 2}, {'a': 'X', 'b': 3}] | groupby('a') | list
[1, 2, 3, 4, 5] | batch(2) | list, [1, 2, 3] | batch(2, 0) | list, [1, 2, 3, 4, 5] | slice(2) | list, [1, 2, 3] | slice(2, 'x') | list, [1] | slice(3) | list, [] | batch(3) | list
[1] | slice(0) | list
'a\nb\n\nc' | indent, 'a\nb' | indent(2, true), 'a\n\nb' | indent(2, blank=true), 'a\nb' | indent('>'), 'a\n' | indent, 'a\r\nb' | indent(1)
1 | indent
'the quick brown fox jumps' | wordwrap(10), 'averyveryverylongword x' | wordwrap(5), 'averyveryverylongword x' | wordwrap(5, false), 'a-b-c well-known word' | wordwrap(7), 'x y\nz' | wordwrap(2, wrapstring='|')
'the quick brown fox' | truncate(10), 'the quick brown fox' | truncate(10, true), 'the quick' | truncate(5, true, '.', 0), 'short' | truncate(3, leeway=5)
'a b_c d-e' | wordcount
'a b/c?é=&' | urlencode, {'a b': 'c/d', 'e': 1} | urlencode
{'a': 1, 'b': none, 'c': '"'} | xmlattr
'<p>a  <b>b</b></p><!-- x -->c &amp; d' | striptags
1000 | filesizeformat, 1 | filesizeformat, 999 | filesizeformat, 123456789 | filesizeformat, 1024 | filesizeformat(true), '5' | filesizeformat
'42' | int, '4.7' | int, 'x' | int, 'x' | int(5), '0x1f' | int(base=16), ' 7 ' | int, '1_000' | int, 4.9 | int, -4.9 | int, none | int, true | int, '' | int, [] | int(1), '-3' | int, '1e3' | int
'1.5' | float, 'x' | float, 1 | float, 'x' | float(2.5), ' 1e3 ' | float, 'inf' | float, 'nan' | float, none | float
1.5 | round, 2.5 | round, 2.567 | round(2), 1234.5 | round(-2), 7 | round, 2.1 | round(0, 'ceil'), 2.9 | round(method='floor'), 1.005 | round(2), 15 | round(-1), 2.675 | round(2), -1.5 | round, 1.25 | round(1)
1.5 | abs, -1 | abs, true | abs
'a' | abs
1 | string, none | string, [1] | string, 1.0 | string
{'a': 1} | items | list, missing | items | list
[1] | items
[1] | list, 'ab' | list, {'a': 1} | list
{'a': [1, 2.0, none, true, 'é"\n\x01/\x7f']} | tojson, [] | tojson, {} | tojson, 1.0 | tojson, 'a' | tojson, none | tojson
{'b': 1, 'a': {'d': 1, 'c': []}} | tojson(indent=2), {'b': 1, 'a': 2} | tojson(sort_keys=true), [1, {}] | tojson(indent=4), 'é🦜\x7f' | tojson(ensure_ascii=true), [1, {'a': 2}] | tojson(separators=(',', ':')), [1, [2]] | tojson(indent='--'), [1] | tojson(indent=0)
{1: 2, none: 3, true: 4, 1.5: 5} | tojson, (1, 2) | tojson
missing | tojson
range(3) | tojson
{(1, 2): 3} | tojson
1e16 | tojson, 1e-7 | tojson, ('inf' | float) | tojson
{'b': 1, 'a': 2} | pprint, 'x' | pprint
'%s and %d' | format('a', 3), '%s' % 'x', '%s %s' % ('a', 1), '%5.2f|%-5s|%05d|%+d|%x|%X|%o|%e|%g|%%' % (3.14159, 'ab', 42, 7, 255, 255, 8, 12345.678, 0.00001234), '%(a)s' % {'a': 1}, '%r' % 'x', '%.2s' % 'abc', '%c' % 'x', '%c' % 65, '%s' % none, '%d' % 3.9, '%5s|' % 'a', '%#x' % 255, '% d' % 5, '%g' % 100000.0, '%g' % 1000000.0, '%s' % [1], '%i' % true
'%d' % 'a'
'%s %s' % 'a'
'%s' % ('a', 'b')
'%s' % (1,)
'{} {}'.format('a', 1), '{1} {0}'.format('a', 'b'), '{x}'.format(x=1), '{:>5}|{:<5}|{:^5}|{:*^7}'.format('a', 'b', 'c', 'd'), '{:05d} {:,} {:_} {:+} {:x} {:#x} {:b} {:e} {:.2f} {:%}'.format(42, 1234567, 1234567, 5, 255, 255, 5, 1234.5, 3.14159, 0.5), '{0[a]} {1[0]}'.format({'a': 1}, [2]), '{!r}'.format('x'), '{:{}}'.format('a', 4) ~ '|', '{{}}'.format(), '{:10.3}|'.format('abcdef'), '{:g} {:.3g} {}'.format(1e10, 1234.5, 1.0), '{:.0f}'.format(2.5), '{:>8.2f}'.format(3.14159), '{:08.2f}'.format(-3.14159), '{:s}'.format('x'), '{:,.2f}'.format(1234567.891), '{:.3}'.format(1234.5), '{:c}'.format(65), '{:d}'.format(true), '{:}'.format(none), '{:=+6d}'.format(3), '{:010,}'.format(12345), '{:<06}|{:^06}|{:>06}'.format(5, 5, 5)
'{} {}'.format(1)
'{:d}'.format('a')
'{:s}'.format(1)
'{'.format()
'}'.format()
'{:5}'.format(none)
'{0} {}'.format(1, 2)
'{a}'.format_map({'a': 1})
messages[1].content | trim, messages[3].content | upper, messages[2].content | tojson
messages[0]
messages | tojson | length
text.split('\n'), text | wordcount, text | title, text.split()
strftime_now('%d %b %Y')
raise_exception('no')
range
dict(a=1, b=2), dict({'a': 1}, b=2), dict([('a', 1)])
namespace(a=1).a, namespace(a=1).b, namespace({'a': 1}).a
namespace(a=1)
bos_token is defined and bos_token is not none
tools is iterable and tools | length > 0
tools is defined, tools is none, documents
messages[0].role == 'system' and not 'x' in messages[0].content
(messages | length) - 1
messages[messages | length - 1].role
messages|length
1.5.is_integer()
1_000
0x1F + 0b11 + 0o17
.5
5.
1.e5
1.5e3
3 .bit_length()
'a'.upper().lower()
'a' if 'b' is string else 'c' ~ 'd'
1 if true else
[1,2,3,]
{'a':1,}
{'a':1}.a
[1,2][0]
[[1,2],[3]][0][1]
{'a': 1}['a']
(1, 2)[0]
('a')
(('a'))
'a' in 'abc' and 'b' in 'abc'
'a' not in 'abc' or false
1 is defined is true
(1 is defined) is true
x.y.z
lipsum is defined
loop is defined
loop
varargs
dict is callable
cycler('a', 'b').next(), cycler('a', 'b').current
joiner()() ~ 'x'
'a' | attr('upper') is defined, {'a': 1} | attr('a') is defined
[1, 2] | attr('nope')
{'a': 1} | list | first
{'a': 'b'}.items() | first | last
'abc' | list | join('|')
[1, 2, 3] | select('in', [1, 3]) | list
['a', 'B'] | map('lower') | sort(reverse=true) | list
[['a', 1]] | map('first') | list
[true, false] | map('int') | sum
'abc' * 0 ~ 'x'
[] * 5
'x' ~ ('y' if true)
(none or 'x') | upper
messages | last | attr('role')
messages | map(attribute='content') | map('length') | list
messages | map(attribute='content') | select('string') | list | length
[{'t': 1}] | selectattr('t', 'defined') | list
messages[0].content is string and messages[0].content is not mapping
messages[0].get('name') is none
messages[0].content | replace('Be', '') | trim
messages[0].content[:2], messages[0].content[-5:]
'</think>' in messages[0].content
('a</think>b'.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n'))
'x</think>\n\ny'.split('</think>')[-1].lstrip('\n')
'a' < 'B', 'a' | lower < 'B' | lower
{'a': 1} == {'a': 1.0}, [1, [2]] == [1, [2]], {'a': 1} == {'b': 1}
1 == '1', none == false, 0 == false, '' == none
range(3) == range(3), range(3) | list == [0, 1, 2]
1 != 2, 1 <> 2
1 <= 1 >= 1
5 == 5 == 5
""".strip("\n").split("\n")

TEMPLATES = [
    "plain",
    "one newline at the end\n",
    "two newlines at the end\n\n",
    "a\r\nb\rc\r\n",
    "{% if true %}\nx\n{% endif %}\ny",
    "  {% if true %}  \n  x\n  {% endif %}\n  y",
    "  {%+ if true %}  x{% endif %}",
    "{% if true +%}\nx{% endif %}",
    "a \n {%- if true -%} \n x \n {%- endif -%} \n b",
    "a \n {{- 'x' -}} \n b",
    "a {{ 'x' }} b",
    "  {{ 'x' }}\n  {{ 'y' }}",
    "{{+ 'x' }}",
    "a\n  {# comment #}\nb",
    "a\n  {#- comment -#}\n  b",
    "a {# {{ x }} {% y %} #} b",
    "{# no end",
    "{% raw %}{{ x }}{% y %}{% endraw %}z",
    "{%- raw -%}\n {{ x }} \n{%- endraw -%} \n z",
    "{% raw %}\nx\n{% endraw %}\ny",
    "  {% raw %}  x  {% endraw %}  y",
    "{% raw %}x",
    "{{ {'a': {'b': 1}}}}",
    "{{ '}}' }}{{ '%}' }}{{ \"{{\" }}",
    "{ {x} } {{ '{' }} %} }}",
    "{{ x",
    "{% if x",
    "{% endif %}",
    "{% if true %}x",
    "{% nope %}",
    "{% for x in [1, 2, 3] %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for x in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %}",
    "{% for x in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{{ loop.changed(x // 2) }};{% endfor %}",
    "{% for x in [] %}x{% else %}empty{% endfor %}",
    "{% for x in [1, 2, 3] if x > 1 %}{{ x }}{{ loop.index }}{{ loop.length }}{% else %}none{% endfor %}",
    "{% for x in [1, 2] if x > 5 %}{{ x }}{% else %}none{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}",
    "{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}",
    "{% for c in 'abc' %}{{ c }}.{% endfor %}",
    "{% for x in none %}{% endfor %}",
    "{% for x in 5 %}{% endfor %}",
    "{% for x in missing %}x{% else %}none{% endfor %}",
    "{% for x in range(5) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{{ loop.depth }}{% endif %}{% endfor %}",
    "{% for x in [1] %}{{ loop }}{% endfor %}",
    "{% for x in [1, 2] %}{% for y in [3] %}{{ loop.index }}{{ x }}{{ y }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% for i in [1, 2] %}{% if i == 1 %}{% set y = 5 %}{% endif %}{{ y }};{% endfor %}",
    "{% set ns = namespace(x=1) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a = [1] %}{{ ns.a }}{{ ns }}",
    "{% set ns = {} %}{% set ns.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set a, b = [1] %}",
    "{% set x %}a{{ 1 }}b{% endset %}{{ x }}{{ x is string }}",
    "{% set x | upper | trim %} ab {% endset %}{{ x }}",
    "{% set x %}\n  a\n{% endset %}[{{ x }}]",
    "{% macro f(a, b=2, c=b) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 3) }}|{{ f(1, c=9) }}|{{ f() }}|{{ f(b=1, a=2) }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, a=3) }}",
    "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
    "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}x{% endcall %}",
    "{% macro f() %}{% for i in [1, 2] %}{{ caller(i) }};{% endfor %}{% endmacro %}{% call(n) f() %}n={{ n }}{% endcall %}",
    "{% macro f() %}{% endmacro %}{% call f() %}x{% endcall %}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f.name }}{{ f is callable }}",
    "{% set y = 1 %}{% macro f() %}{{ y }}{% endmacro %}{% set y = 2 %}{{ f() }}",
    "{% macro f() %}{% set z = 1 %}{{ z }}{% endmacro %}{{ f() }}{{ z }}",
    "{% filter upper %}abc{{ 'def' }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}aaa{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% set a = 1 %}{% with a = 2, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% generation %}\nabc{% endgeneration %}\ndef",
    "{% for m in messages %}{% generation %}{{ m.role }}{% endgeneration %}{% endfor %}",
    "{% block title %}x{{ 1 }}{% endblock %}y",
    "{% block title %}x{% endblock title %}",
    "{% autoescape false %}{{ '<' }}{% endautoescape %}",
    "{% include 'x' %}",
    "{% extends 'x' %}",
    "{% import 'x' as y %}",
    "{% do 1 %}",
    "{% if messages[0].role == 'system' %}{% set offset = 1 %}{% else %}{% set offset = 0 %}{% endif %}{% for m in messages[offset:] %}{{ m.role }}{{ loop.index0 % 2 == 0 }};{% endfor %}",
    "{% if false %}{{ 1 | nope }}{% endif %}x",
    "{% if false %}{{ 1 is nope }}{% endif %}x",
    "{% set x = [1, 2, 3] | map('string') %}{{ x | join(',') }}|{{ x | join(',') }}",
    "{% set x = [1, 2] | select('odd') %}{{ x }}" if False else "{% set x = [1, 2] | select('odd') %}{{ x | length }}",
    "{% if 1 %}a{% elif 1 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}",
    "{% for m in messages %}\n    {%- if loop.index0 == 0 %}\n        {{- bos_token }}\n    {%- endif %}\n    {{- '<|' + m['role'] + '|>\\n' + m['content'] | trim + '<|end|>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|assistant|>\\n' }}\n{%- endif %}\n",
    "{% for m in messages -%}\n<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor -%}\nend",
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start|>' + message['role'] + '\n\n' + message['content'] | trim %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}",
    "{{ 1 }}\n{{ 2 }}\n",
    "{% set x = 1 -%}   \n   y",
    "{%- set x = 1 %}\n\n  y",
    "\n\n{% if true %}\n\nx{% endif %}",
    "\t{% if true %}\tx{% endif %}\t",
    "x {% if true %} y {% endif %} z",
    "{{ 'a'\n~\n'b' }}",
    "{% set t = true and\n false %}{{ t }}",
    "{{ {\n'a': 1,\n} }}",
    "{% for x in [1,2,3] %}{% if x == 2 %}{% set ns = namespace(v=x) %}{{ ns.v }}{% endif %}{% endfor %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner(', ') %}{% for x in [1, 2, 3] %}{{ j() }}{{ x }}{% endfor %}",
    "{% for g in messages | groupby('role') %}{{ g.grouper }}:{{ g.list | length }};{% endfor %}",
    "{% for role, list in messages | groupby('role') %}{{ role }}{{ list | length }}{% endfor %}",
    "{% set ns = namespace(found=false) %}{% for x in [1, 2, 3] if not ns.found %}{% set ns.found = x == 2 %}{{ x }}{% endfor %}",
    "{% set n = namespace() %}{% set n.n = n %}{{ n }}",
    "{% set n = namespace(x=1) %}{% set m = n %}{% set m.x = 2 %}{{ n.x }}{{ n == m }}{{ namespace() == namespace() }}",
    "{% set true = 1 %}",
    "{{ f(x for x in y) }}",
    "{{ [x for x in y] }}",
    "{{ a.b.c is defined }}",
    "{{ lambda: 1 }}",
    "{% if x is defined and x %}y{% else %}n{% endif %}",
    "{% set _ = 1 %}{{ _ }}",
    "{{ 'a' if x is defined else 'b' }}",
    "{{ messages | selectattr('role', 'equalto', 'system') | map(attribute='content') | first }}",
    "{% for m in messages | rejectattr('role', 'equalto', 'system') %}{{ loop.length }}{{ m.role }}{% endfor %}",
    "{% for m in messages[1:] %}{{ loop.previtem.role if loop.previtem is defined }}>{{ m.role }};{% endfor %}",
    "{% macro f(m) -%}\n  {{ m }}\n{%- endmacro %}[{{ f('x') }}]",
    "{{ caller() }}",
    "{{ super() }}",
    "{%if true%}x{%endif%}",
    "{{1}}{{-2-}} {{ 3 }}",
    "{%- for i in range(3) -%} {{ i }} {%- endfor -%}",
    "{{ '\\n' }}{{ \"\\t\" }}{{ '\\\\n' }}",
    "{{ \"it's\" }}{{ 'say \"hi\"' }}",
    "{% set x = 'a' %}{% set x = x ~ 'b' %}{{ x }}",
    "{{ ['a', 'b'] is iterable and ['a'] is not string }}",
]


def main():
    env = environment()
    cases = []
    for source in ["{{ " + expression + " }}" for expression in EXPRESSIONS] + TEMPLATES:
        try:
            text = env.from_string(source).render(**VARIABLES)
        except Exception:
            text = None
        if text is not None and " at 0x" in text:
            continue
        cases.append([source, text])
    out = {"variables": VARIABLES, "cases": cases}
    path = Path(__file__).parent / "jinja2.json"
    path.write_text(json.dumps(out, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
